using System.Text.Json;
using RawDiffusion.Backends;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

/// <summary>One case of tests/golden/NAME.json, made by PyTorch in float64 with make_golden.py.</summary>
internal sealed class GoldenCase
{
    private readonly JsonElement _options, _tensors;

    private GoldenCase(JsonElement json)
    {
        Name = json.GetProperty("name").GetString()!;
        _options = json.GetProperty("options");
        _tensors = json.GetProperty("tensors");
    }

    public string Name { get; }

    /// <summary>For a theory: the numbers of the cases of a file on each device.</summary>
    public static TheoryData<string, int> Cases(string file)
    {
        var data = new TheoryData<string, int>();
        int count = Load(file).GetArrayLength();
        foreach (string device in Device.Names)
        {
            for (int i = 0; i < count; i++)
                data.Add(device, i);
        }
        return data;
    }

    public static GoldenCase Read(string file, int index) => new(Load(file)[index]);

    public bool Has(string tensor) => _tensors.TryGetProperty(tensor, out _);

    public Shape ShapeOf(string tensor) =>
        new([.. _tensors.GetProperty(tensor).GetProperty("shape").EnumerateArray().Select(extent => extent.GetInt32())]);

    public double[] Values(string tensor) =>
        [.. _tensors.GetProperty(tensor).GetProperty("values").EnumerateArray().Select(value => value.GetDouble())];

    public Tensor Tensor(string tensor, Backend device) => RawDiffusion.Tensor.From(Values(tensor), ShapeOf(tensor), device);

    public Tensor Indices(string tensor, Backend device) =>
        RawDiffusion.Tensor.From(Array.ConvertAll(Values(tensor), value => (int)value), ShapeOf(tensor), device);

    public int Int(string option) => _options.GetProperty(option).GetInt32();

    public double Double(string option) => _options.GetProperty(option).GetDouble();

    public bool Bool(string option) => _options.GetProperty(option).GetBoolean();

    public string Text(string option) => _options.GetProperty(option).GetString()!;

    /// <summary>
    /// Runs an operation on the named inputs and compares its output and all gradients with PyTorch's: within 1e-9 on Reference,
    /// where both sides are float64 and differ in the order of sums; within float32 tolerances elsewhere.
    /// </summary>
    /// <param name="terms">Terms in the longest sum of the output or of a gradient.</param>
    public void Compare(string deviceName, string[] inputs, int terms, Func<Dictionary<string, Tensor>, Tensor> operation)
    {
        var device = Device.Parse(deviceName);
        var tensors = inputs.Where(Has).ToDictionary(name => name, name => Tensor(name, device).RequireGrad());
        var y = operation(tensors);
        AssertClose("y", y, terms);
        y.Backward(Tensor("gy", device));
        foreach (var (name, tensor) in tensors)
            AssertClose("g_" + name, tensor.Grad!, terms);
    }

    public void AssertClose(string name, Tensor actual, int terms)
    {
        Assert.Equal(ShapeOf(name), actual.Shape);
        AssertClose(name, actual.ToDoubleArray(), Values(name), actual.Device, terms);
    }

    public void AssertClose(string name, double[] actual, double[] expected, Backend device, int terms)
    {
        var tolerance = device.FloatType == DType.Float64 ? new Tolerance(1e-9, 1e-9) : Tolerance.Float32(terms, factor: 1);
        Check.Passes(tolerance.Compare($"{Name}: {name} on {device.Name}", actual, expected));
    }

    private static JsonElement Load(string file)
    {
        string path = Path.Combine(AppContext.BaseDirectory, "golden", file + ".json");
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        return document.RootElement.GetProperty("cases").Clone();
    }
}
