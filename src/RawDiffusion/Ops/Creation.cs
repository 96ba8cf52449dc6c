using System.Buffers;
using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion;

public partial class Tensor
{
    /// <summary>A tensor with undefined contents.</summary>
    public static Tensor Empty(Shape shape, Backend? device = null)
    {
        device ??= RawDiffusion.Device.Default;
        return new Tensor(MemoryScope.Allocate(device, device.FloatType, shape.Count), shape);
    }

    /// <summary>An Int32 tensor with undefined contents.</summary>
    public static Tensor EmptyInt32(Shape shape, Backend? device = null)
    {
        device ??= RawDiffusion.Device.Default;
        return new Tensor(MemoryScope.Allocate(device, DType.Int32, shape.Count), shape);
    }

    public static Tensor Full(Shape shape, double value, Backend? device = null)
    {
        var result = Empty(shape, device);
        result.Device.Fill(result.Storage, value);
        return result;
    }

    public static Tensor Zeros(Shape shape, Backend? device = null) => Full(shape, 0, device);

    public static Tensor Ones(Shape shape, Backend? device = null) => Full(shape, 1, device);

    /// <summary>Copies values in row-major order.</summary>
    /// <exception cref="ArgumentException">The number of values is not that of the shape.</exception>
    public static Tensor From(ReadOnlySpan<float> values, Shape shape, Backend? device = null)
    {
        ExpectCount(values.Length, shape);
        var result = Empty(shape, device);
        result.Device.Upload(values, result.Storage);
        return result;
    }

    /// <inheritdoc cref="From(ReadOnlySpan{float}, Shape, Backend?)"/>
    public static Tensor From(ReadOnlySpan<double> values, Shape shape, Backend? device = null)
    {
        ExpectCount(values.Length, shape);
        var result = Empty(shape, device);
        result.Device.Upload(values, result.Storage);
        return result;
    }

    /// <summary>Copies indices into an Int32 tensor.</summary>
    public static Tensor From(ReadOnlySpan<int> values, Shape shape, Backend? device = null)
    {
        ExpectCount(values.Length, shape);
        var result = EmptyInt32(shape, device);
        result.Device.Upload(values, result.Storage);
        return result;
    }

    /// <summary>The values as float32, row-major. Waits for the device.</summary>
    public float[] ToArray()
    {
        var values = new float[Count];
        Device.Download(ExpectFloat("toArray").Storage, values);
        return values;
    }

    /// <summary>The values as float64, row-major.</summary>
    public double[] ToDoubleArray()
    {
        var values = new double[Count];
        Device.Download(ExpectFloat("toDoubleArray").Storage, values);
        return values;
    }

    /// <summary>The values of an Int32 tensor.</summary>
    public int[] ToInt32Array()
    {
        var values = new int[Count];
        Device.Download(ExpectInt32("toInt32Array").Storage, values);
        return values;
    }

    /// <summary>The values of an Int32 tensor, row-major, in memory that is there already. Waits for the device.</summary>
    /// <exception cref="ArgumentException">The memory is for another number of values, or the tensor is not Int32.</exception>
    public void CopyTo(Span<int> values)
    {
        ExpectCount(values.Length, Shape);
        Device.Download(ExpectInt32("copyTo").Storage, values);
    }

    /// <summary>The one value of a tensor with one element.</summary>
    public double Item()
    {
        if (Count != 1)
            throw new InvalidOperationException($"Item: a tensor of shape {Shape} has {Count} elements, not 1.");
        Span<double> value = stackalloc double[1];
        Device.Download(ExpectFloat("item").Storage, value);
        return value[0];
    }

    /// <summary>A copy on another device without history, or this tensor where it is there already.</summary>
    public Tensor To(Backend device)
    {
        if (device == Device)
            return this;
        if (DType == DType.Int32)
            return From(ToInt32Array(), Shape, device);
        if (DType == DType.Float64 || device.FloatType == DType.Float64)
            return From(ToDoubleArray(), Shape, device);
        // Batches are moved step after step.
        float[] values = ArrayPool<float>.Shared.Rent(Math.Max(1, Count));
        Device.Download(ExpectFloat("to").Storage, values.AsSpan(0, Count));
        var moved = From(values.AsSpan(0, Count), Shape, device);
        ArrayPool<float>.Shared.Return(values);
        return moved;
    }

    /// <summary>
    /// The same values in another type, or this tensor where they are of it already. Gradients flow back in the type of this one; none flow
    /// from or to integers, which are the nearest, of two the even one.
    /// </summary>
    /// <exception cref="ArgumentException">Integers and bfloat16: go by way of float32.</exception>
    /// <exception cref="NotSupportedException">The device has no such type.</exception>
    public Tensor To(DType type)
    {
        if (type == DType)
            return this;
        if ((type, DType) is (DType.Int32, DType.BFloat16) or (DType.BFloat16, DType.Int32))
            throw new ArgumentException($"to: {DType.Name()} {Shape} becomes {type.Name()} by way of float32 only.");
        return new CastFunction(type).Apply(AliveFor("to"));
    }

    /// <summary>A copy of the values without history.</summary>
    public Tensor Clone()
    {
        var result = new Tensor(MemoryScope.Allocate(Device, DType, Count), Shape);
        Device.Copy(Storage, result.Storage);
        return result;
    }

    /// <summary>
    /// Replaces the contents in place, so that whoever holds this tensor sees the new ones: the inputs and results of a
    /// <see cref="Optim.StepGraph"/>. A backward pass over an operation that read the old contents is refused.
    /// </summary>
    /// <exception cref="ArgumentException">Another shape, type or device.</exception>
    /// <exception cref="InvalidOperationException">This tensor was computed with a history, which would be that of the old contents.</exception>
    public void CopyFrom(Tensor source)
    {
        ExpectNoHistory();
        ExpectSameDevice("copyFrom", this, source);
        if (source.Shape != Shape || source.DType != DType)
            throw new ArgumentException($"copyFrom: {source.DType} {source.Shape} does not fit {DType} {Shape}.");
        Device.Copy(source.AliveFor("copyFrom").Storage, AliveFor("copyFrom").Storage);
        MarkChanged();
    }

    /// <summary>Replaces the contents by values in row-major order.</summary>
    /// <inheritdoc cref="CopyFrom(Tensor)"/>
    public void CopyFrom(ReadOnlySpan<float> values)
    {
        ExpectNoHistory();
        ExpectCount(values.Length, Shape);
        Device.Upload(values, ExpectFloat("copyFrom").Storage);
        MarkChanged();
    }

    /// <inheritdoc cref="CopyFrom(ReadOnlySpan{float})"/>
    public void CopyFrom(ReadOnlySpan<double> values)
    {
        ExpectNoHistory();
        ExpectCount(values.Length, Shape);
        Device.Upload(values, ExpectFloat("copyFrom").Storage);
        MarkChanged();
    }

    /// <summary>Replaces the contents of an Int32 tensor.</summary>
    /// <inheritdoc cref="CopyFrom(Tensor)"/>
    public void CopyFrom(ReadOnlySpan<int> values)
    {
        ExpectNoHistory();
        ExpectCount(values.Length, Shape);
        Device.Upload(values, ExpectInt32("copyFrom").Storage);
        MarkChanged();
    }

    internal Tensor ExpectFloat(string operation) =>
        DType != DType.Int32 ? AliveFor(operation) : throw new ArgumentException($"{operation}: expected a floating tensor, got Int32 {Shape}.");

    internal Tensor ExpectInt32(string operation) =>
        DType == DType.Int32 ? AliveFor(operation) : throw new ArgumentException($"{operation}: expected an Int32 tensor, got {DType} {Shape}.");

    internal static void ExpectSameDevice(string operation, Tensor x, Tensor y)
    {
        if (x.Device != y.Device)
            throw new ArgumentException($"{operation}: tensors on different devices, {x.Device.Name} {x.Shape} and {y.Device.Name} {y.Shape}. Move one with To.");
    }

    /// <summary>One number in the type of this tensor, to be broadcast against it.</summary>
    internal Tensor ScalarLike(double value)
    {
        var scalar = EmptyOf(this, Shape.Scalar);
        Device.Fill(scalar.Storage, value);
        return scalar;
    }

    internal static void ExpectSameType(string operation, Tensor x, Tensor y)
    {
        if (x.DType != y.DType)
            throw new ArgumentException($"{operation}: {x.DType.Name()} {x.Shape} and {y.DType.Name()} {y.Shape} are of different types. Convert one with To.");
    }

    /// <summary>This tensor, if it is in the device's own floating type: for operations that compute in no other.</summary>
    internal Tensor ExpectFullPrecision(string operation) => ExpectFloat(operation).DType == Device.FloatType
        ? this
        : throw new ArgumentException($"{operation}: computes in {Device.FloatType.Name()}, not {DType.Name()} {Shape}. Convert it with To.");

    /// <summary>This tensor, if it is in the device's own floating type, as what belongs to a layer rather than flows through it has to be.</summary>
    internal Tensor ExpectParameter(string operation, string role) => DType == Device.FloatType
        ? AliveFor(operation)
        : throw new ArgumentException($"{operation}: the {role} {Shape} is {DType.Name()}; it has to be {Device.FloatType.Name()}, whatever flows through the layer.");

    private void ExpectNoHistory()
    {
        if (Producer is not null)
            throw new InvalidOperationException($"copyFrom: this tensor of shape {Shape} was computed by {Producer.Name} with a history. Replace the contents of a leaf, or compute it under NoGrad.");
    }

    private static void ExpectCount(int count, Shape shape)
    {
        if (count != shape.Count)
            throw new ArgumentException($"{count} values do not fill a tensor of shape {shape} ({shape.Count} elements).");
    }
}
