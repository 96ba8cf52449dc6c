using RawDiffusion.Backends;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// Arrays for calling a backend's operations directly. Made twice from one seed, for a device and for Reference, they hold the same
/// values: on the device as windows that begin at any element of a larger storage, with values around them that nothing may touch.
/// </summary>
/// <param name="type">Of <see cref="Random"/> and <see cref="Empty"/>: what flows through a network. All else is the device's own float.</param>
/// <param name="offset">Elements before every window.</param>
internal sealed class KernelArrays(Backend device, DType type, int offset = 0)
{
    private const float Around = 99;

    private readonly Random _random = new(1);
    private readonly List<(Storage Whole, int Length)> _windows = [];

    private bool IsReference => device.FloatType == DType.Float64;

    public Backend Device => device;

    /// <summary>Normal numbers that <paramref name="type"/> holds exactly.</summary>
    public Storage Random(int length, double mean = 0) => Window(IsReference ? DType.Float64 : type, length, Normal(length, mean));

    /// <summary>Parameters, statistics and their gradients.</summary>
    public Storage RandomFloats(int length) => Window(device.FloatType, length, Normal(length, 0));

    public Storage Indices(int length, int end)
    {
        var y = device.Allocate(DType.Int32, length);
        device.Upload(Enumerable.Range(0, length).Select(_ => _random.Next(end)).ToArray(), y);
        return y;
    }

    public Storage Empty(int length) => Window(IsReference ? DType.Float64 : type, length, null);

    public Storage EmptyFloats(int length) => Window(device.FloatType, length, null);

    public double[] Read(Storage x)
    {
        var values = new double[x.Length];
        device.Download(x, values);
        return values;
    }

    public int[] ReadIndices(Storage x)
    {
        var values = new int[x.Length];
        device.Download(x, values);
        return values;
    }

    /// <summary>Nothing was written outside the windows.</summary>
    public void AssertNothingElseWritten()
    {
        foreach (var (whole, length) in _windows)
        {
            double[] values = Read(whole);
            Assert.All(values[..offset].Concat(values[(offset + length)..]), value => Assert.Equal(Around, value));
        }
    }

    /// <summary>
    /// float32: PyTorch's tolerances times the root of the terms summed. bfloat16: 1.6e-2 of the value or, where terms cancel, of the root
    /// mean square.
    /// </summary>
    public static void AssertClose(string what, DType type, int terms, double[] actual, double[] expected)
    {
        var tolerance = type == DType.BFloat16
            ? Verification.Tolerance.Rounded(Precision.BFloat16, expected, 1)
            : Verification.Tolerance.Float32(terms, 1);
        Check.Passes(tolerance.Compare(what, actual, expected));
    }

    private Storage Window(DType dtype, int length, float[]? values)
    {
        var whole = device.Allocate(dtype, offset + length + 5);
        device.Fill(whole, Around);
        var window = whole.Slice(offset, length);
        if (values is not null)
            device.Upload(values, window);
        _windows.Add((whole, length));
        return window;
    }

    private float[] Normal(int length, double mean)
    {
        var values = new float[length];
        for (int i = 0; i < length; i++)
        {
            double normal = Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble());
            float value = (float)(mean + normal);
            values[i] = type == DType.BFloat16 ? BFloat16.Value(BFloat16.Round(value)) : value;
        }
        return values;
    }
}
