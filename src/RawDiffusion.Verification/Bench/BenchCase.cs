using RawDiffusion.Backends;

namespace RawDiffusion.Verification.Bench;

/// <summary>What the elements of a benchmarked array are at first.</summary>
public enum BenchValues
{
    /// <summary>Whatever is there: outputs and scratch.</summary>
    Undefined,

    /// <summary>Standard normal.</summary>
    Normal,

    /// <summary>Uniform in [0, 1).</summary>
    Uniform,

    Zeros,

    /// <summary>Int32 from 0 to below <see cref="BenchTensor.End"/>.</summary>
    Indices,
}

/// <summary>One array that an operation works on.</summary>
/// <param name="Count">Elements.</param>
/// <param name="Values">What it holds at first.</param>
public sealed record BenchTensor(string Name, long Count, BenchValues Values)
{
    /// <summary>Whether it takes the type that flows through a network, bfloat16 in that precision; otherwise it is float32 in every one.</summary>
    public bool IsActivation { get; init; } = true;

    /// <summary>How often its bytes have to cross the memory at least: 1 where it is read or written, 2 where both, 0 for what stays near.</summary>
    public double Passes { get; init; } = 1;

    /// <summary>Whether it is a result, to be compared.</summary>
    public bool IsResult { get; init; }

    /// <summary>The terms summed into one element of a result: the tolerance grows with their square root.</summary>
    public long Terms { get; init; } = 1;

    /// <summary>Indices lie below it.</summary>
    public int End { get; init; }

    public static BenchTensor Input(string name, long count) => new(name, count, BenchValues.Normal);

    public static BenchTensor Output(string name, long count, long terms = 1) => new(name, count, BenchValues.Undefined) { IsResult = true, Terms = terms };

    /// <summary>The same array in float32 whatever flows through the network: parameters, statistics, losses.</summary>
    public BenchTensor InFloat32() => this with { IsActivation = false };

    /// <summary>The element type in a precision.</summary>
    public DType TypeIn(Precision precision) => Values == BenchValues.Indices
        ? DType.Int32
        : IsActivation && precision == Precision.BFloat16 ? DType.BFloat16 : DType.Float32;
}

/// <summary>An operation at one shape: what it works on, what it costs at least, and how a device is asked for it.</summary>
public sealed record BenchCase
{
    /// <summary>As <see cref="BenchOperation.Name"/>.</summary>
    public string Operation { get; init; } = "";

    /// <summary>As it is written on the command line.</summary>
    public string Shape { get; init; } = "";

    public required IReadOnlyList<BenchTensor> Tensors { get; init; }

    /// <summary>Floating-point operations that the definition needs; 0 where bytes are the measure.</summary>
    public double Flops { get; init; }

    /// <summary>Asks a backend for the operation, given the arrays in order.</summary>
    public required Action<Backend, Storage[]> Run { get; init; }

    /// <summary>Computes what the operation needs from earlier ones (statistics, say); run once, not timed.</summary>
    public Action<Backend, Storage[]>? Prepare { get; init; }

    /// <summary>Where the operation is one matrix product of its first two arrays, with the third for the result: that product.</summary>
    public MatMulGeometry? Product { get; init; }

    /// <summary>Bytes that must be read and written at least, each once.</summary>
    public double Bytes(Precision precision) => Tensors.Sum(tensor => tensor.Passes * tensor.Count * tensor.TypeIn(precision).Size());

    /// <summary>Multiply-adds, or where there are none elements: what executed instructions are divided by.</summary>
    public double Work => Flops > 0 ? Flops / 2 : Tensors.Max(tensor => tensor.Count);

    public override string ToString() => $"{Operation} {Shape}";
}
