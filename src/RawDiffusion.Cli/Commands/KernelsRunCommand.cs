using System.CommandLine;
using System.Globalization;
using RawDiffusion.Cli.Kernels;
using RawDiffusion.Cli.Output;
using RawDiffusion.Cuda;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion kernels run FILE.cu</c>: executes a kernel of anyone's on the emulator, and says why it is wrong or slow.</summary>
internal static class KernelsRunCommand
{
    /// <summary>What the command line says.</summary>
    private sealed record Launch(string File, string? Kernel, Dim3 Grid, Dim3 Block, int SharedBytes, LaunchArgument[] Arguments, string[] Defines, EmulatorOptions Options, int Seed);

    public static Command Create()
    {
        var command = new Command("run", "Execute a kernel of a .cu file on the emulated GPU: print what it wrote, find what is wrong (--checked), or count what it did (--counted).");
        var file = new Argument<string>("FILE.cu") { Description = "CUDA C++; host code in it goes between #ifndef __CUDACC_RTC__ and #endif." };
        var kernel = new Option<string?>("--kernel") { Description = "Name of the kernel; not needed where the file has one." };
        var grid = new Option<string>("--grid") { Description = "Blocks: X, X,Y or X,Y,Z.", DefaultValueFactory = _ => "1" };
        var block = new Option<string>("--block") { Description = "Threads in a block: X, X,Y or X,Y,Z.", DefaultValueFactory = _ => "32" };
        var shared = new Option<int>("--shared") { Description = "Bytes of dynamic shared memory." };
        var arguments = new Option<string[]>("--args")
        {
            Description = $"The kernel's arguments in order. {LaunchArgument.Forms.ReplaceLineEndings(" ")}.",
            AllowMultipleArgumentsPerToken = true,
        };
        var defines = new Option<string[]>("--define") { Description = "A macro for the compiler, NAME or NAME=VALUE. May be given several times." };
        var check = new Option<bool>("--checked") { Description = "Stop at the first hazard, with the line and the threads: accesses out of bounds, races, undefined values, barriers that not all reach, ..." };
        var count = new Option<bool>("--counted") { Description = "Show beside each line of the source how often it was executed, what it moved and what that cost. Counts, not times." };
        var budget = new Option<long>("--budget")
        {
            Description = "Instructions that a block may execute, counted by warps, before it is taken for an endless loop.",
            DefaultValueFactory = _ => EmulatorOptions.Default.InstructionBudget,
        };
        var seed = new Option<ulong?>("--seed") { Description = "Of random contents; and shuffles the order in which blocks and warps are executed." };
        command.Arguments.Add(file);
        foreach (var option in new Option[] { kernel, grid, block, shared, arguments, defines, check, count, budget, seed })
            command.Options.Add(option);
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(check) && parsed.GetValue(count))
                throw new ArgumentException("--checked and --counted are two ways to execute; give one of them");
            var options = EmulatorOptions.Default with
            {
                Mode = parsed.GetValue(check) ? ExecutionMode.Checked : parsed.GetValue(count) ? ExecutionMode.Counted : ExecutionMode.Unchecked,
                InstructionBudget = parsed.GetValue(budget) is > 0 and var most ? most : throw new ArgumentException("--budget must be at least 1"),
                ScheduleSeed = parsed.GetValue(seed),
                Output = Console.Out,
            };
            if (parsed.GetValue(shared) < 0)
                throw new ArgumentException("--shared must not be negative");
            var launch = new Launch(
                parsed.GetValue(file)!, parsed.GetValue(kernel), Size("--grid", parsed.GetValue(grid)!), Size("--block", parsed.GetValue(block)!), parsed.GetValue(shared),
                [.. (parsed.GetValue(arguments) ?? []).Select(LaunchArgument.Parse)], parsed.GetValue(defines) ?? [], options, unchecked((int)(parsed.GetValue(seed) ?? 0)));
            return Run(launch, parsed.InvocationConfiguration.Error);
        });
        return command.WithExamples(
            "kernels run examples/kernels/block_sum_race.cu --grid 4 --block 256 --args f32:1024=range f32:4 --checked",
            "kernels run examples/kernels/transpose_uncoalesced.cu --grid 4,4 --block 32,8 --args 128 f32:16384=range f32:16384 --counted",
            "kernels run saxpy.cu --kernel saxpy --grid 8 --block 128 --args 1000 2.5f f32:1000=random f32:1000=1 --checked --seed 3");
    }

    private static Dim3 Size(string option, string text)
    {
        string[] parts = text.Split(',');
        int[] sizes = new int[3];
        for (int i = 0; i < sizes.Length; i++)
        {
            sizes[i] = 1;
            if (i < parts.Length && (!int.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out sizes[i]) || sizes[i] == 0))
                throw new ArgumentException($"{option}: '{text}' is no size; expected something like 8 or 8,4 or 8,4,2");
        }
        return parts.Length <= sizes.Length ? new Dim3(sizes[0], sizes[1], sizes[2]) : throw new ArgumentException($"{option}: '{text}' has more than three sizes");
    }

    private static int Run(Launch launch, TextWriter error)
    {
        var source = UserKernel.Read(launch.File);
        CompiledKernels compiled;
        try
        {
            compiled = new KernelCompiler().Compile(
                source, new KernelTarget($"compute_{launch.Options.ComputeCapability}"), [.. launch.Defines.Select(define => $"-D{define}")]);
        }
        catch (KernelCompilationException e)
        {
            // All lines of the compiler, not one: it is the user's text that they speak of.
            error.WriteLine($"rawdiffusion: {e.Message}");
            if (e.Log.Contains("host function", StringComparison.Ordinal))
                error.WriteLine("NVRTC compiles what runs on the device; put the rest, main for instance, between #ifndef __CUDACC_RTC__ and #endif.");
            return 2;
        }
        string name = UserKernel.Find(compiled.Ptx, launch.Kernel, source.Name);
        using var driver = new EmulatedCudaDriver(launch.Options);
        using var context = new CudaContext(driver);
        using var module = context.LoadModule(compiled);
        try
        {
            return Execute(launch, context, module.GetKernel(name), source, driver);
        }
        catch (EmulatedFaultException e)
        {
            Console.Out.WriteLine(HazardText.Of(e.Report, file => file == source.Name ? source.Text : source.Headers.GetValueOrDefault(file)));
            return 1;
        }
        catch (CudaException e) when (!e.Sticky)
        {
            throw new ArgumentException($"{UserKernel.PlainName(name)} cannot be launched like this: {e.Detail ?? e.Message}", e);
        }
    }

    private static int Execute(Launch launch, CudaContext context, CudaKernel kernel, KernelSource source, EmulatedCudaDriver driver)
    {
        var reporter = ConsoleReporter.ForStandardOutput();
        var buffers = new List<(int Index, BufferArgument Argument, DeviceBuffer Memory, byte[]? Before)>();
        var values = new KernelArg[launch.Arguments.Length];
        for (int i = 0; i < values.Length; i++)
        {
            if (launch.Arguments[i] is ScalarArgument scalar)
            {
                values[i] = scalar.Value;
                continue;
            }
            var buffer = (BufferArgument)launch.Arguments[i];
            var memory = context.Allocate(buffer.Bytes, $"argument {i}, {buffer.Text}");
            byte[]? contents = buffer.Contents(launch.Seed + i);
            if (contents is not null)
                memory.CopyFrom<byte>(contents);
            buffers.Add((i, buffer, memory, contents));
            values[i] = memory.Pointer;
        }
        kernel.Launch(launch.Grid, launch.Block, launch.SharedBytes, values);
        context.Synchronize();

        reporter.Line($"{UserKernel.PlainName(kernel.Name)}: grid {launch.Grid}, block {launch.Block}{(launch.Options.Mode == ExecutionMode.Checked ? ": no hazard found" : "")}");
        if (buffers.Count > 0)
            Grid.Write(["argument", "type", "first values", "smallest", "largest", "sum", "changed"], [.. buffers.Select(Summary)]);
        foreach (var counters in driver.Counters)
            Show(new CounterTable(counters, source.Name, source.Text), reporter);
        foreach (var (_, _, memory, _) in buffers)
            memory.Dispose();
        return 0;
    }

    private static string[] Summary((int Index, BufferArgument Argument, DeviceBuffer Memory, byte[]? Before) buffer)
    {
        byte[] after = new byte[buffer.Argument.Bytes];
        buffer.Memory.CopyTo<byte>(after);
        return buffer.Argument.Summary(buffer.Index, buffer.Before, after);
    }

    private static void Show(CounterTable table, IRunReporter reporter)
    {
        Grid.Write(CounterTable.Columns, [.. table.Rows()]);
        reporter.Line("executed: instructions by warps; lanes: active ones, of 32; sectors and passes: for each access of a warp (4-byte accesses need 4 and 1 at best)");
        reporter.Table("Counted, not timed", table.Totals());
        foreach (string remark in table.Remarks())
            reporter.Line(remark);
    }
}
