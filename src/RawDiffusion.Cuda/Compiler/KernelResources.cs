using System.Globalization;
using System.Text.RegularExpressions;

namespace RawDiffusion.Cuda;

/// <summary>What one kernel needs on one architecture.</summary>
/// <param name="Registers">Per thread.</param>
/// <param name="SharedBytes">Static shared memory per block.</param>
/// <param name="StackBytes">Local memory per thread for arrays that are indexed, and for spills.</param>
/// <param name="SpillStoreBytes">Bytes of registers written to local memory for want of registers.</param>
public sealed partial record KernelResources(
    string Kernel, int Registers, int SharedBytes, int StackBytes, int SpillStoreBytes, int SpillLoadBytes)
{
    /// <summary>Reads the report that <c>--ptxas-options=-v</c> puts into a log, in the order of the log.</summary>
    public static IReadOnlyList<KernelResources> Parse(string log)
    {
        var all = new List<KernelResources>();
        string kernel = "";
        int stack = 0, stores = 0, loads = 0;
        foreach (string line in log.Split('\n'))
        {
            if (Entry().Match(line) is { Success: true } entry)
            {
                kernel = entry.Groups[1].Value;
                (stack, stores, loads) = (0, 0, 0);
            }
            else if (Frame().Match(line) is { Success: true } frame)
            {
                // A device function that was not inlined has a frame line of its own after the kernel's: the first counts.
                if (stack == 0 && stores == 0 && loads == 0)
                    (stack, stores, loads) = (Number(frame.Groups[1]), Number(frame.Groups[2]), Number(frame.Groups[3]));
            }
            else if (kernel.Length > 0 && Used().Match(line) is { Success: true } used)
            {
                var shared = Shared().Match(line);
                all.Add(new KernelResources(kernel, Number(used.Groups[1]), shared.Success ? Number(shared.Groups[1]) : 0, stack, stores, loads));
                kernel = "";
            }
        }
        return all;
    }

    private static int Number(Group group) => int.Parse(group.Value, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"Compiling entry function '([^']+)'")]
    private static partial Regex Entry();

    [GeneratedRegex(@"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")]
    private static partial Regex Frame();

    [GeneratedRegex(@"Used (\d+) registers")]
    private static partial Regex Used();

    [GeneratedRegex(@"(\d+) bytes smem")]
    private static partial Regex Shared();
}
