using System.Diagnostics;
using System.Text.Json.Nodes;

namespace RawDiffusion.Verification.Peers;

/// <summary>A way of making a computation.</summary>
/// <param name="Times">How often a call makes it.</param>
public sealed record PeerLane(string Name, Action Run, int Times = 1);

/// <summary>A computation that is timed: its ways of being made, and what to give back afterwards.</summary>
public sealed class PeerCase(IReadOnlyList<PeerLane> lanes, params IReadOnlyList<IDisposable> owned) : IDisposable
{
    public IReadOnlyList<PeerLane> Lanes => lanes;

    public void Dispose()
    {
        foreach (var each in owned)
            each.Dispose();
    }
}

/// <summary>
/// Our side of a comparison with another framework (<c>benchmarks/peers</c>): answers requests on standard input, a line of JSON each, with
/// the median seconds per call of every lane. <c>seconds</c> says how long to measure, <c>warmups</c> and <c>least</c> how often to call
/// before the clock starts and on the clock at least. A request that cannot be met is answered with <c>error</c>.
/// </summary>
/// <param name="create">Makes what a request asks for; kept for the next request where that is the same.</param>
/// <param name="synchronize">Waits for the device. Null for one that does at once what it is asked.</param>
/// <param name="answers">Requests that are questions, by their <c>op</c>.</param>
public sealed class PeerServer(
    Func<JsonObject, PeerCase> create, Action? synchronize, IReadOnlyDictionary<string, Func<JsonObject, JsonObject>> answers)
{
    /// <summary>Calls are made in runs of about so many seconds where the device works on its own: what waits for a run is lost in it.</summary>
    private const double SecondsPerRun = 0.02;

    /// <param name="about">What is said of us before the first request.</param>
    public void Run(JsonObject about, TextReader requests, TextWriter replies)
    {
        Answer(replies, about);
        string? key = null;
        PeerCase? current = null;
        while (requests.ReadLine() is { } line)
        {
            var request = JsonNode.Parse(line)!.AsObject();
            if (answers.TryGetValue(request["op"]!.GetValue<string>(), out var answer))
            {
                Answer(replies, answer(request));
                continue;
            }
            try
            {
                double seconds = request["seconds"]!.GetValue<double>();
                request.Remove("seconds");
                if (request.ToJsonString() is var wanted && wanted != key)
                {
                    current?.Dispose();
                    (current, key) = (null, null);
                    current = create(request);
                    key = wanted;
                }
                var medians = new JsonObject();
                foreach (var lane in current!.Lanes)
                    medians[lane.Name] = Median(lane.Run, seconds, Number(request, "warmups", 2), Number(request, "least", 3)) / lane.Times;
                Answer(replies, medians);
            }
            catch (Exception e)
            {
                // Whatever it is, a device without memory or one that was lost among them: the other side goes on with its next case.
                Answer(replies, new JsonObject { ["error"] = e.Message });
                Abandon(current);
                (current, key) = (null, null);
            }
        }
        current?.Dispose();
    }

    /// <summary>Gives back what a case held that has failed; where the device is lost there is nothing to give back, and the failure has been told.</summary>
    private static void Abandon(PeerCase? failed)
    {
        try
        {
            failed?.Dispose();
        }
        catch (Exception)
        {
        }
    }

    private static int Number(JsonObject request, string name, int otherwise) => request[name]?.GetValue<int>() ?? otherwise;

    /// <summary>Warm-up calls, then calls until the time is used, at least so many.</summary>
    private double Median(Action step, double seconds, int warmups, int least)
    {
        for (int i = 0; i < warmups; i++)
            step();
        int calls = 1;
        if (synchronize is not null)
            calls = (int)Math.Clamp(SecondsPerRun / Seconds(step, 1), 1, 1000);
        var times = new List<double>();
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds || times.Count < least)
            times.Add(Seconds(step, calls) / calls);
        times.Sort();
        return times[times.Count / 2];
    }

    private double Seconds(Action step, int calls)
    {
        synchronize?.Invoke();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < calls; i++)
            step();
        synchronize?.Invoke();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static void Answer(TextWriter replies, JsonObject answer)
    {
        replies.WriteLine(answer.ToJsonString());
        replies.Flush();
    }
}
