using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using BenchmarkDotNet.Running;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Benchmarks;
using RawDiffusion.Verification.Peers;

switch (args)
{
    case ["peer"]:
        new PeerServer(
            request => new PeerCase([new PeerLane("ours", PeerCases.Create(request))]), synchronize: null,
            new Dictionary<string, Func<JsonObject, JsonObject>>
            {
                ["peak"] = _ => new JsonObject { ["gflops"] = PeakFlops.Fma() },
                ["memory"] = _ => new JsonObject { ["bytes"] = PeerCases.PeakMemory() },
            }).Run(
            new JsonObject { ["runtime"] = RuntimeInformation.FrameworkDescription, ["vectorBits"] = CpuBackend.VectorBits, ["threads"] = Workers.Count },
            Console.In, Console.Out);
        return 0;
    case ["profile", ..]:
        return ProfileCommand.Run(args.AsSpan(1));
    case ["emulator", ..]:
        return EmulatorCommand.Run(args.AsSpan(1));
    default:
        BenchmarkSwitcher.FromAssembly(typeof(PeerCases).Assembly).Run(args);
        return 0;
}
