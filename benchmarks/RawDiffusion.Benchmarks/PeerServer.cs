using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Benchmarks;

/// <summary>Our side of <c>peers/compare.py</c>: answers timing requests on standard input with the median seconds per call.</summary>
internal static class PeerServer
{
    public static void Run()
    {
        Answer(new JsonObject { ["runtime"] = RuntimeInformation.FrameworkDescription, ["vectorBits"] = CpuBackend.VectorBits, ["threads"] = Workers.Count });
        string? key = null;
        Action step = () => { };
        while (Console.ReadLine() is { } line)
        {
            var request = JsonNode.Parse(line)!.AsObject();
            switch (request["op"]!.GetValue<string>())
            {
                case "peak":
                    Answer(new JsonObject { ["gflops"] = PeakFlops.Fma() });
                    continue;
                case "memory":
                    Answer(new JsonObject { ["bytes"] = PeakMemory() });
                    continue;
            }
            if (line != key)
            {
                key = line;
                step = PeerCases.Create(request);
            }
            Answer(new JsonObject
            {
                ["ours"] = Median(step, request["seconds"]!.GetValue<double>(), Number(request, "warmups", 2), Number(request, "least", 3)),
            });
        }
    }

    private static int Number(JsonObject request, string name, int otherwise) => request[name]?.GetValue<int>() ?? otherwise;

    /// <summary>Bytes: the high-water mark of what this process had in memory.</summary>
    private static long PeakMemory()
    {
        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
        return 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2]);
    }

    /// <summary>Warm-up calls, then calls until the time is used, at least so many.</summary>
    private static double Median(Action step, double seconds, int warmups, int least)
    {
        for (int i = 0; i < warmups; i++)
            step();
        var times = new List<double>();
        long end = Stopwatch.GetTimestamp() + (long)(seconds * Stopwatch.Frequency);
        while (Stopwatch.GetTimestamp() < end || times.Count < least)
        {
            long start = Stopwatch.GetTimestamp();
            step();
            times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        times.Sort();
        return times[times.Count / 2];
    }

    private static void Answer(JsonObject answer)
    {
        Console.Out.WriteLine(answer.ToJsonString());
        Console.Out.Flush();
    }
}
