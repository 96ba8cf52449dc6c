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
            double seconds = request["seconds"]!.GetValue<double>();
            if (request["op"]!.GetValue<string>() == "peak")
            {
                Answer(new JsonObject { ["gflops"] = PeakFlops.Fma() });
                continue;
            }
            if (line != key)
            {
                key = line;
                step = PeerCases.Create(request);
            }
            Answer(new JsonObject { ["ours"] = Median(step, seconds) });
        }
    }

    /// <summary>Two warm-up calls, then calls until the time is used, at least three.</summary>
    private static double Median(Action step, double seconds)
    {
        step();
        step();
        var times = new List<double>();
        long end = Stopwatch.GetTimestamp() + (long)(seconds * Stopwatch.Frequency);
        while (Stopwatch.GetTimestamp() < end || times.Count < 3)
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
