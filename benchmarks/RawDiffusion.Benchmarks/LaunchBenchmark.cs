using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Diffusion.Models;
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
    private Tensor _images = null!, _loss = null!;
    private ScalarTrace _losses = null!;
    private StepGraph _graph = null!;
    private float[] _pixels = [];

    [GlobalSetup]
    public void Setup()
    {
        _tensor = Tensor.Zeros([64], _gpu);
        _leaf = Tensor.Zeros([64], _gpu).RequireGrad();
        (_x, _y) = (_tensor.Storage, Tensor.Zeros([64], _gpu).Storage);
        _direct = PeerModels.TrainingStep(PeerModels.Mnist, 16, _gpu, records: false, clipAndAverage: true);
        _recorded = PeerModels.TrainingStep(PeerModels.Mnist, 16, _gpu, records: true, clipAndAverage: true);
        PrepareGraph();
        var driver = (IdleDriver)_gpu.Context.Driver;
        long launches = 0;
        for (int i = 0; i < 3; i++)
        {
            GraphStep();
            _recorded.RunStep();
            long before = driver.Launches;
            _direct.RunStep();
            launches = driver.Launches - before;
        }
        Console.WriteLine($"A training step launches {launches} kernels call by call.");
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

    [Benchmark(Description = "the same recorded: upload of a batch, StepGraph.Run, loss kept")]
    public void GraphStep()
    {
        _images.CopyFrom(_pixels);
        _graph.Run();
        if (_losses.IsFull)
            _losses.Take();
        _losses.Add(_loss);
    }

    [Benchmark(Description = "the same in the Trainer, which also draws the batch")]
    public void RecordedStep() => _recorded.RunStep();

    /// <summary>A training step without a trainer: what it takes from the host are images.</summary>
    private void PrepareGraph()
    {
        const int batch = 16, size = 28;
        var model = new UNet2D(PeerModels.Mnist, new Generator(1), _gpu);
        var noise = new Generator(2);
        var ema = new Ema(model);
        var times = MemoryScope.KeepForever(Tensor.Full([batch], 500, _gpu));
        _images = Tensor.Zeros([batch, size, size, 1], _gpu);
        _pixels = new float[_images.Count];
        _loss = Tensor.Zeros(Shape.Scalar, _gpu);
        _losses = new ScalarTrace(_gpu, 50);
        var optimizer = new AdamW(model);
        _graph = new StepGraph(_gpu, () =>
        {
            using var scope = new MemoryScope();
            var loss = F.MseLoss(model.Forward(_images + Tensor.Randn(noise, _images.Shape, _gpu), times), _images);
            loss.Backward();
            _loss.CopyFrom(loss);
            optimizer.ClipGradNorm(1);
            optimizer.Step();
            optimizer.ZeroGrad();
            ema.Update();
        }, optimizer, ema, noise);
    }

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
