using System.Globalization;
using RawDiffusion.IO;
using Xunit.Abstractions;

namespace RawDiffusion.Tests;

/// <summary>
/// Reads many damaged files: each must be read, and then rightly, or be refused by a <see cref="FileFormatException"/>, with
/// bounded memory and without end in sight never. The environment variable RAWDIFFUSION_FUZZ_ITERATIONS sets how many; every
/// number is a file of its own, the same in every run, so that a file that fails can be made again.
/// </summary>
internal static class Fuzz
{
    /// <summary>What is read for one damaged file may be this much, whatever its length: buffers of the inflater, messages.</summary>
    public const long Slack = 1 << 17;

    private const string Variable = "RAWDIFFUSION_FUZZ_ITERATIONS";

    private static readonly TimeSpan s_limit = TimeSpan.FromHours(1);

    public static int Iterations { get; } =
        Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : 100_000;

    /// <param name="output">Is told how many were read and how many refused.</param>
    /// <param name="make">A damaged file.</param>
    /// <param name="read">Reads it; the only part whose memory is counted.</param>
    /// <param name="check">Looks at what was read.</param>
    /// <param name="memory">The most bytes that reading a file may allocate.</param>
    /// <param name="reasons">Parts of messages that must have been seen: they show that the damage gets to where it should.</param>
    public static void Run<T>(
        ITestOutputHelper output, Func<Random, byte[]> make, Func<byte[], T> read, Action<byte[], T> check, Func<byte[], long> memory,
        params IEnumerable<string> reasons)
    {
        var missing = reasons.ToHashSet();
        int accepted = 0, refused = 0, current = 0;
        long most = 0;
        string failure = "";
        // On a thread of its own, so that a file that is read without end fails with its number.
        var worker = new Thread(() =>
        {
            for (; current < Iterations && failure.Length == 0; current++)
            {
                byte[] file = make(new Random(current));
                long before = GC.GetAllocatedBytesForCurrentThread(), taken;
                try
                {
                    var result = read(file);
                    taken = GC.GetAllocatedBytesForCurrentThread() - before;
                    check(file, result);
                    accepted++;
                }
                catch (FileFormatException e)
                {
                    taken = GC.GetAllocatedBytesForCurrentThread() - before;
                    refused++;
                    if (e.Message.Any(char.IsControl) || e.Message.Length > e.Path.Length + 400)
                        failure = $"is refused in other than one short line: {e.Message}";
                    missing.RemoveWhere(e.Message.Contains);
                }
                catch (Exception e)
                {
                    failure = $"fails: {e}";
                    break;
                }
                most = Math.Max(most, taken);
                if (taken > memory(file))
                    failure = $"of {file.Length} bytes takes {taken} bytes of memory; the bound is {memory(file)}";
            }
        });
        worker.Start();
        if (!worker.Join(s_limit))
            Assert.Fail($"File {current} is read without end.");
        Assert.True(failure.Length == 0, $"File {current} {failure}");
        output.WriteLine($"{accepted} files were read and {refused} refused; reading one took at most {most} bytes of memory.");
        Assert.Equal(Iterations, accepted + refused);
        // Damage that is always or never noticed would test little.
        Assert.InRange(accepted, Iterations / 200, Iterations * 9 / 10);
        if (Iterations >= 10_000)
            Assert.True(missing.Count == 0, $"Never seen: {string.Join(", ", missing)}");
    }
}
