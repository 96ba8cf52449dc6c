using System.Buffers;
using System.Globalization;

namespace RawDiffusion;

/// <summary>
/// Whether operations on this thread are watched for values that are not finite; see <see cref="DetectAnomaly"/>. Off, it costs one
/// test per operation; on, every result and every gradient is read, which makes a training step several times slower.
/// </summary>
public static class AnomalyMode
{
    [ThreadStatic]
    private static bool s_enabled;

    public static bool IsEnabled => s_enabled;

    internal static bool Set(bool enabled)
    {
        bool before = s_enabled;
        s_enabled = enabled;
        return before;
    }

    /// <summary>
    /// Checks what an operation made. An infinity is let through where an input has one already: masks are made of them, and a
    /// harmful one becomes NaN or reaches the loss. A trained leaf that is not finite is an anomaly before anything is made of it.
    /// </summary>
    /// <exception cref="AnomalyException">The operation is the first whose result is not finite.</exception>
    internal static void CheckForward(string operation, ReadOnlySpan<Tensor> inputs, Tensor output)
    {
        var result = Finiteness.Of(output);
        if (result.IsFinite)
            return;
        var given = Finiteness.OfAll(inputs);
        bool blameless = result.NaNs == 0 && !given.TrueForAll(x => x.IsFinite);
        for (int i = 0; i < inputs.Length; i++)
            blameless &= given[i].IsFinite || inputs[i].Producer is not null || !inputs[i].RequiresGrad;
        if (!blameless)
            throw new AnomalyException(operation, "forward", $"its result {result.Describe()}; {DescribeAll(given)}");
    }

    /// <summary>Checks the gradients that an operation's backward pass made.</summary>
    /// <exception cref="AnomalyException">One of them is not finite.</exception>
    internal static void CheckBackward(string operation, ReadOnlySpan<Tensor> inputs, Tensor gradOutput, ReadOnlySpan<Tensor?> gradInputs)
    {
        for (int i = 0; i < gradInputs.Length; i++)
        {
            if (gradInputs[i] is not { } gradient || Finiteness.Of(gradient) is not { IsFinite: false } result)
                continue;
            string received = Finiteness.Of(gradOutput).Describe();
            throw new AnomalyException(
                operation, "backward",
                $"the gradient of input {i} {result.Describe()}; the gradient it received {received}; {DescribeAll(Finiteness.OfAll(inputs))}");
        }
    }

    private static string DescribeAll(List<Finiteness> inputs) => string.Join("; ", inputs.Select((x, i) => $"input {i} {x.Describe()}"));

    /// <summary>What there is to say about the values of a tensor.</summary>
    private readonly record struct Finiteness(Shape Shape, int NaNs, int Infinities, int FirstIndex, double First, double Low, double High)
    {
        public bool IsFinite => NaNs + Infinities == 0;

        public static Finiteness Of(Tensor tensor)
        {
            if (tensor.DType == DType.Int32 || !tensor.IsAlive)
                return new Finiteness(tensor.Shape, 0, 0, 0, 0, double.NaN, double.NaN);
            double[] buffer = ArrayPool<double>.Shared.Rent(tensor.Count);
            var values = buffer.AsSpan(0, tensor.Count);
            tensor.Device.Download(tensor.Storage, values);
            int nans = 0, infinities = 0, first = -1;
            double low = double.PositiveInfinity, high = double.NegativeInfinity;
            for (int i = 0; i < values.Length; i++)
            {
                if (double.IsFinite(values[i]))
                {
                    low = Math.Min(low, values[i]);
                    high = Math.Max(high, values[i]);
                    continue;
                }
                if (first < 0)
                    first = i;
                if (double.IsNaN(values[i]))
                    nans++;
                else
                    infinities++;
            }
            var result = new Finiteness(tensor.Shape, nans, infinities, first, first < 0 ? 0 : values[first], low, high);
            ArrayPool<double>.Shared.Return(buffer);
            return result;
        }

        public static List<Finiteness> OfAll(ReadOnlySpan<Tensor> tensors)
        {
            var all = new List<Finiteness>(tensors.Length);
            foreach (var tensor in tensors)
                all.Add(Of(tensor));
            return all;
        }

        public string Describe()
        {
            if (double.IsNaN(Low))
                return $"{Shape} was not looked at";
            return IsFinite
                ? string.Create(CultureInfo.InvariantCulture, $"{Shape} is finite, {Low:G4} to {High:G4}")
                : string.Create(
                    CultureInfo.InvariantCulture,
                    $"{Shape} has {NaNs} NaN and {Infinities} infinite of {Shape.Count} values, the first {First} at [{Position()}]");
        }

        private string Position()
        {
            var at = new int[Shape.Rank];
            for (int axis = at.Length - 1, rest = FirstIndex; axis >= 0; axis--)
                (rest, at[axis]) = Math.DivRem(rest, Shape[axis]);
            return string.Join(", ", at);
        }
    }
}

/// <summary>The first operation found, under <see cref="DetectAnomaly"/>, to make values that are not finite.</summary>
/// <param name="operation">Its name.</param>
/// <param name="pass"><c>forward</c> or <c>backward</c>.</param>
public sealed class AnomalyException(string operation, string pass, string finding)
    : ArithmeticException($"{operation} {pass}: {finding}")
{
    public string Operation { get; } = operation;

    public string Pass { get; } = pass;
}
