using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Peers;
using RawDiffusion.Verification.Peers;

namespace RawDiffusion.Cli.Commands;

/// <summary>
/// <c>rawdiffusion peer</c>, not shown in the help: our side of <c>benchmarks/peers/torch_gpu.py</c>, which asks it on standard input and
/// reads the answers. It belongs to the command so that a published binary is all that a comparison needs.
/// </summary>
internal static class PeerCommand
{
    public static Command Create()
    {
        var command = new Command("peer", "Answer timing requests on standard input: our side of benchmarks/peers/torch_gpu.py.") { Hidden = true };
        var device = new DeviceOption();
        device.AddTo(command);
        command.SetAction(parsed =>
        {
            var opened = device.Open(parsed);
            Serve(opened, Console.In, Console.Out);
            return 0;
        });
        return command;
    }

    /// <summary>Answers until the requests end.</summary>
    internal static void Serve(Backend device, TextReader requests, TextWriter replies)
    {
        var server = new PeerServer(
            request => Case(request, device),
            device.CanRecord ? device.Synchronize : null,
            new Dictionary<string, Func<JsonObject, JsonObject>>
            {
                ["parameters"] = request => new JsonObject { ["parameters"] = UNet2DSize.Of(PeerModels.Find(Text(request, "network"))).Values },
                ["memory"] = _ => new JsonObject { ["bytes"] = device.Statistics.BytesHeld },
            });
        var about = new JsonObject
        {
            ["runtime"] = RuntimeInformation.FrameworkDescription,
            ["device"] = device.Name,
            ["product"] = device is CudaBackend gpu ? gpu.Context.Name : $"{Workers.Count} threads, {CpuBackend.VectorBits}-bit vectors",
            ["precisions"] = new JsonArray([.. device.Precisions.Select(precision => (JsonNode)precision.Name())]),
        };
        server.Run(about, requests, replies);
    }

    private static PeerCase Case(JsonObject request, Backend device)
    {
        var precision = Precisions.Parse(Text(request, "precision"));
        if (!device.Precisions.Contains(precision))
            throw new NotSupportedException($"{device.Name} does not compute in {precision.Name()}");
        // The case before leaves its memory to the collector, and the other side wants some too.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        (device as CudaBackend)?.Context.ReleaseCachedMemory();
        switch (Text(request, "op"))
        {
            case "operations":
                return PeerOperations.Create(
                    [.. request["operations"]!.AsArray().Select(name => name!.GetValue<string>())], Text(request, "shape"), device, precision);
            case "unet_step":
            {
                var lanes = new List<PeerLane>();
                var owned = new List<IDisposable>();
                foreach (bool records in Ways(device))
                {
                    var trainer = PeerModels.TrainingStep(
                        PeerModels.Find(Text(request, "network")), Number(request, "batch"), device, precision, clipAndAverage: true, records);
                    lanes.Add(new PeerLane(Lane(records), trainer.RunStep));
                    owned.Add(trainer);
                }
                return new PeerCase(lanes, owned);
            }
            case "toy_step":
            {
                var lanes = new List<PeerLane>();
                var owned = new List<IDisposable>();
                foreach (bool records in Ways(device))
                {
                    var trainer = PeerModels.ToyStep(Number(request, "batch"), device, records);
                    lanes.Add(new PeerLane(Lane(records), trainer.RunStep));
                    owned.Add(trainer);
                }
                int steps = Number(request, "atOnce");
                if (PeerModels.FusedToySteps(Number(request, "batch"), steps, device, out var fused) is { } run)
                {
                    lanes.Add(new PeerLane("one kernel", run, steps));
                    owned.Add(fused!);
                }
                return new PeerCase(lanes, owned);
            }
            case "unet_sample":
            {
                var lanes = new List<PeerLane>();
                var owned = new List<IDisposable>();
                foreach (bool records in Ways(device))
                {
                    var sample = PeerModels.Sampling(
                        PeerModels.Find(Text(request, "network")), Number(request, "count"), Number(request, "steps"), device, precision, records, out var network);
                    lanes.Add(new PeerLane(Lane(records), sample));
                    if (network is not null)
                        owned.Add(network);
                }
                return new PeerCase(lanes, owned);
            }
            case var unknown:
                throw new ArgumentException($"unknown operation '{unknown}'");
        }
    }

    private static bool[] Ways(Backend device) => device.CanRecord ? [false, true] : [false];

    private static string Lane(bool records) => records ? "recorded" : "call by call";

    private static int Number(JsonObject request, string name) => request[name]!.GetValue<int>();

    private static string Text(JsonObject request, string name) => request[name]!.GetValue<string>();
}
