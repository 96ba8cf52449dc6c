using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Diffusion.Peers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Ops;
using RawDiffusion.Optim;
using RawDiffusion.PtxEmulator.Driver;

namespace RawDiffusion.Benchmarks;

/// <summary>
/// What our own code costs between an operation and the driver, in time and in managed memory, on a GPU that does nothing
/// (<see cref="IdleDriver"/>): a launch, an operation on tensors, a node of the tape with its backward pass, a training step call by call
/// and recorded. NVRTC must be there to compile the kernels that are never run.
/// </summary>
[Config(typeof(Config))]
public class LaunchBenchmark
{
    /// <summary>Operations of one invocation: a step of a clock of 100 ns would be seen otherwise.</summary>
    private const int Repeated = 100;

    private readonly CudaBackend _gpu = new(new IdleDriver());
    private Storage _x = null!, _y = null!;
    private Tensor _tensor = null!, _leaf = null!;
    private Trainer _direct = null!, _recorded = null!;

    /// <summary>Kernels that a training step of the MNIST UNet launches call by call.</summary>
    public long LaunchesPerStep { get; private set; }

    [GlobalSetup]
    public void Setup()
    {
        _tensor = Tensor.Zeros([64], _gpu);
        _leaf = Tensor.Zeros([64], _gpu).RequireGrad();
        (_x, _y) = (_tensor.Storage, Tensor.Zeros([64], _gpu).Storage);
        _direct = PeerModels.TrainingStep(PeerModels.Mnist, 16, _gpu, records: false, clipAndAverage: true);
        _recorded = PeerModels.TrainingStep(PeerModels.Mnist, 16, _gpu, records: true, clipAndAverage: true);
        var driver = (IdleDriver)_gpu.Context.Driver;
        for (int i = 0; i < 3; i++)
        {
            _recorded.RunStep();
            long before = driver.Launches;
            _direct.RunStep();
            LaunchesPerStep = driver.Launches - before;
        }
        Console.WriteLine($"// launches per step: {LaunchesPerStep}");
    }

    [Benchmark(Description = "launch of a kernel through CudaBackend", OperationsPerInvoke = Repeated)]
    public void Launch()
    {
        for (int i = 0; i < Repeated; i++)
            _gpu.Unary<AddScalar>(_x, _y, 1, 0);
    }

    [Benchmark(Description = "x + 1 on tensors, without the tape, in a MemoryScope", OperationsPerInvoke = Repeated)]
    public void Operation()
    {
        using var noGrad = new NoGrad();
        using var scope = new MemoryScope();
        for (int i = 0; i < Repeated; i++)
            _ = _tensor + 1;
    }

    [Benchmark(Description = "node of the tape: x + 1 and its backward pass", OperationsPerInvoke = Repeated)]
    public void TapeNode()
    {
        using var scope = new MemoryScope();
        var y = _leaf;
        for (int i = 0; i < Repeated; i++)
            y += 1;
        y.Backward(_tensor);
        _leaf.ZeroGrad();
    }

    [Benchmark(Description = "training step of the MNIST UNet, call by call")]
    public void DirectStep() => _direct.RunStep();

    [Benchmark(Description = "training step of the MNIST UNet, recorded, with its batch")]
    public void RecordedStep() => _recorded.RunStep();

    private sealed class Config : ManualConfig
    {
        public Config()
        {
            AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(3).WithIterationCount(9)
                .WithIterationTime(Perfolizer.Horology.TimeInterval.FromMilliseconds(150)));
            AddDiagnoser(BenchmarkDotNet.Diagnosers.MemoryDiagnoser.Default);
            AddColumnProvider(BenchmarkDotNet.Columns.DefaultColumnProviders.Descriptor, BenchmarkDotNet.Columns.DefaultColumnProviders.Metrics);
            AddColumn(BenchmarkDotNet.Columns.StatisticColumn.Median, BenchmarkDotNet.Columns.StatisticColumn.StdDev);
            AddExporter(BenchmarkDotNet.Exporters.MarkdownExporter.GitHub);
            AddLogger(ConsoleLogger.Default);
            WithOptions(ConfigOptions.DisableLogFile);
        }
    }
}
