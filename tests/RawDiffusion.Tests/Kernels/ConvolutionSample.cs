using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cuda;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests.Kernels;

/// <summary>Storages of a convolution on a device, with random values of a type, and what the Reference device makes of the same values.</summary>
internal sealed class ConvolutionSample
{
    private readonly Conv2dGeometry _g;
    private readonly CudaBackend _device;
    private readonly Precision _precision;
    private readonly (string Name, double[] Expected, Storage Actual)[] _results;

    /// <param name="silu">Whether the forward pass ends with SiLU and keeps what it is taken of.</param>
    public ConvolutionSample(in Conv2dGeometry g, CudaBackend device, Precision precision, bool silu = true)
    {
        (_g, _device, _precision) = (g, device, precision);
        int pixels = g.Batch * g.Height * g.Width, outPixels = g.Batch * g.OutHeight * g.OutWidth;
        var random = new Random(pixels * 31 + g.OutChannels);
        double[] x = Values(random, pixels * g.InChannels), w = Values(random, g.OutChannels * g.KernelHeight * g.KernelWidth * (g.InChannels / g.Groups));
        double[] gy = Values(random, outPixels * g.OutChannels), bias = Values(random, g.OutChannels);
        double[] sampleBias = Values(random, g.Batch * g.OutChannels), residual = Values(random, gy.Length);
        (X, W, Gy, Y, Gx) = (Put(x), Put(w), Put(gy), Empty(gy.Length), Empty(x.Length));
        Gw = device.Allocate(DType.Float32, w.Length);
        Epilogue = new ConvEpilogue(Put(bias, DType.Float32), Put(sampleBias), Put(residual), silu, silu ? Empty(gy.Length) : null);

        var reference = Device.Reference;
        Storage rx = Reference(x), rw = Reference(w), rgy = Reference(gy), y = Reference(gy), gx = Reference(x), gw = Reference(w);
        var sums = silu ? Reference(gy) : null;
        reference.Conv2d(g, rx, rw, new ConvEpilogue(Reference(bias), Reference(sampleBias), Reference(residual), silu, sums), y);
        reference.Conv2dGradInput(g, rgy, rw, gx);
        reference.Conv2dGradWeight(g, rx, rgy, gw);
        _results = [("y", Read(y), Y), ("gx", Read(gx), Gx), ("gw", Read(gw), Gw)];
        if (sums is not null)
            _results = [.. _results, ("sums", Read(sums), Epilogue.Sums!)];
    }

    public Storage X { get; }

    public Storage W { get; }

    public Storage Gy { get; }

    public Storage Y { get; }

    public Storage Gx { get; }

    public Storage Gw { get; }

    public ConvEpilogue Epilogue { get; }

    private DType Type => _precision == Precision.BFloat16 ? DType.BFloat16 : DType.Float32;

    /// <summary>All three passes by whatever the backend uses.</summary>
    public void Run()
    {
        _device.Conv2d(_g, X, W, Epilogue, Y);
        _device.Conv2dGradInput(_g, Gy, W, Gx);
        _device.Conv2dGradWeight(_g, X, Gy, Gw);
    }

    /// <summary>All three passes by the kernels of a tile; the gradient of the weight in one part.</summary>
    public void Run(ConvolutionTile tile)
    {
        using var module = _device.Context.LoadModule(new KernelCompiler().Compile(KernelLibrary.Source(tile.Forward.File), _device.Context.Target));
        var arguments = new ConvolutionArguments(_g);
        int inGroup = _g.InChannels / _g.Groups, outGroup = _g.OutChannels / _g.Groups, pixels = _g.Batch * _g.OutHeight * _g.OutWidth;
        module.GetKernel(tile.Forward.NameFor(Type)).LaunchWith(
            arguments, (int)tile.Blocks(_g.Groups, pixels, outGroup), tile.Threads, tile.SharedBytes(true),
            P(X), P(W), P(Epilogue.Bias!), P(Epilogue.SampleBias!), P(Epilogue.Residual!), Epilogue.Silu ? 1 : 0, P(Epilogue.Sums!), P(Y));
        int phases = _g.StrideHeight * _g.StrideWidth, mostRows = _g.Batch * CeilDiv(_g.Height, _g.StrideHeight) * CeilDiv(_g.Width, _g.StrideWidth);
        module.GetKernel(tile.GradInput.NameFor(Type)).LaunchWith(
            arguments, (int)tile.Blocks(_g.Groups * phases, mostRows, inGroup), tile.Threads, tile.SharedBytes(true), P(Gy), P(W), P(Gx));
        module.GetKernel(tile.GradWeight.NameFor(Type)).LaunchWith(
            arguments, (int)tile.Blocks(_g.Groups, _g.KernelHeight * _g.KernelWidth * inGroup, outGroup), tile.Threads, tile.SharedBytes(false),
            pixels, P(X), P(Gy), P(Gw));
        _device.Synchronize();
    }

    /// <summary>The three results against Reference's, with the tolerances of the table of operations.</summary>
    public CheckResult Compare()
    {
        var result = CheckResult.Passed;
        int pixels = _g.Batch * _g.OutHeight * _g.OutWidth, taps = _g.KernelHeight * _g.KernelWidth;
        foreach (var (name, expected, actual) in _results)
        {
            var values = new double[actual.Length];
            _device.Download(actual, values);
            int terms = name == "gw" ? pixels : taps * Math.Max(_g.InChannels, _g.OutChannels);
            var tolerance = _precision == Precision.Float32 ? Tolerance.Float32(terms, 1) : Tolerance.Rounded(_precision, expected, 1);
            result = result.And(tolerance.Compare($"{_g}: {name}", values, expected));
        }
        return result;
    }

    private static DevicePointer P(Storage storage) => ((CudaStorage)storage).Pointer;

    private static int CeilDiv(int x, int y) => (x + y - 1) / y;

    /// <summary>Exact in bfloat16: what is compared is the arithmetic, not the rounding of its inputs.</summary>
    private static double[] Values(Random random, int count)
    {
        var values = new double[count];
        for (int i = 0; i < count; i++)
            values[i] = BFloat16.Value(BFloat16.Round((float)(2 * random.NextDouble() - 1)));
        return values;
    }

    private static Storage Reference(double[] values)
    {
        var storage = Device.Reference.Allocate(DType.Float64, values.Length);
        Device.Reference.Upload(values, storage);
        return storage;
    }

    private static double[] Read(Storage storage)
    {
        var values = new double[storage.Length];
        Device.Reference.Download(storage, values);
        return values;
    }

    private Storage Put(double[] values, DType? type = null)
    {
        var storage = _device.Allocate(type ?? Type, values.Length);
        _device.Upload(values, storage);
        return storage;
    }

    private Storage Empty(int length) => _device.Allocate(Type, length);
}
