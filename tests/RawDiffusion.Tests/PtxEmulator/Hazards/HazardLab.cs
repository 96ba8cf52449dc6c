using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>
/// Runs kernels in checked mode, one after another, each on a device of its own where it may do what it likes. The line that a report must
/// name ends in the source with <c>// here</c>, that of the other party of a race with <c>// there</c>.
/// </summary>
public abstract class HazardLab : IDisposable
{
    private static readonly KernelCompiler s_compiler = new(cacheFolder: null);

    private string _source = "";

    protected HazardLab()
    {
        TestNvrtc.Require();
        Driver = new EmulatedCudaDriver(new EmulatorOptions { Mode = ExecutionMode.Checked, MemoryBytes = 1 << 26, InstructionBudget = 2_000_000 });
        Context = new CudaContext(Driver);
    }

    protected EmulatedCudaDriver Driver { get; }

    protected CudaContext Context { get; }

    /// <summary>What was compiled last.</summary>
    protected CudaModule? Module { get; private set; }

    public void Dispose()
    {
        Context.Dispose();
        Driver.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>A buffer whose elements are 0, 1, 2, ...</summary>
    protected DeviceBuffer Ints(int count, string name)
    {
        var buffer = Undefined(count, name);
        buffer.CopyFrom<int>([.. Enumerable.Range(0, count)]);
        return buffer;
    }

    /// <summary>A buffer of 4-byte elements that nobody has written.</summary>
    protected DeviceBuffer Undefined(int count, string name) => Context.Allocate(4L * count, name);

    protected static int[] Read(DeviceBuffer buffer)
    {
        int[] values = new int[buffer.Bytes / 4];
        buffer.CopyTo<int>(values);
        return values;
    }

    /// <summary>The kernel <c>k</c> of a source.</summary>
    protected CudaKernel Compile(string source, params ReadOnlySpan<string> options)
    {
        _source = source;
        Module = Context.LoadModule(s_compiler.Compile(new KernelSource("lesson.cu", source), Context.Target, options));
        return Module.GetKernel("k");
    }

    /// <summary>Runs a kernel that must be stopped.</summary>
    protected HazardReport Fault(string source, Dim3 grid, Dim3 block, int shared, params ReadOnlySpan<KernelArg> args)
    {
        var kernel = Compile(source);
        kernel.Launch(grid, block, shared, args);
        return Fault();
    }

    /// <summary>What stopped the kernel that is under way.</summary>
    protected HazardReport Fault()
    {
        var error = Assert.Throws<EmulatedFaultException>(Context.Synchronize);
        Assert.True(error.Sticky);
        Assert.Contains(error.Report.ToString(), error.Message);
        Assert.True(error.Message.Contains("lesson.cu:"), error.Message);
        Assert.Equal("k", error.Report.Kernel);
        return error.Report;
    }

    /// <summary>The report is of this kind and names the marked line.</summary>
    protected void AssertReport(HazardReport report, HazardKind kind, StateSpace? space = null, Dim3? thread = null, Dim3? block = null, string? allocation = null)
    {
        Assert.True(report.Kind == kind, $"expected {kind}: {report}");
        var party = report.Parties[0];
        Assert.True(LineOf("// here") == Outermost(party.Line), $"expected line {LineOf("// here")}: {report}");
        if (space is not null)
            Assert.True(report.Space == space, $"expected {space}: {report}");
        if (thread is not null)
            Assert.True(party.Thread == thread, $"expected thread {thread}: {report}");
        if (block is not null)
            Assert.True(party.Block == block, $"expected block {block}: {report}");
        if (allocation is not null)
            Assert.Contains(allocation, report.Allocation);
    }

    /// <summary>A race between the marked lines, in whichever order they came.</summary>
    protected void AssertRace(HazardReport report, StateSpace space, string? allocation = null)
    {
        Assert.True(report.Kind == HazardKind.Race, $"expected a race: {report}");
        Assert.Equal(2, report.Parties.Count);
        Assert.NotEqual((report.Parties[0].Block, report.Parties[0].Thread), (report.Parties[1].Block, report.Parties[1].Thread));
        int[] expected = [LineOf("// here"), LineOf(_source.Contains("// there") ? "// there" : "// here")];
        Assert.Equal(expected.Order(), report.Parties.Select(party => Outermost(party.Line)).Order());
        Assert.Equal(space, report.Space);
        if (allocation is not null)
            Assert.Contains(allocation, report.Allocation);
    }

    private int LineOf(string mark) => 1 + Array.FindIndex(_source.Split('\n'), line => line.TrimEnd().EndsWith(mark, StringComparison.Ordinal));

    /// <summary>The line in the kernel itself, through which inlined functions came.</summary>
    private static int Outermost(SourceLine? line)
    {
        Assert.NotNull(line);
        while (line.InlinedAt is not null)
            line = line.InlinedAt;
        Assert.Equal("lesson.cu", Path.GetFileName(line.File));
        return line.Line;
    }
}
