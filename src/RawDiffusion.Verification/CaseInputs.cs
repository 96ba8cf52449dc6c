using RawDiffusion.Backends;

namespace RawDiffusion.Verification;

/// <summary>
/// The values of a case's inputs. They follow from the text of the case and its seed alone, and floating values are rounded to float32, so
/// every device and every run gets exactly the same numbers.
/// </summary>
public static class CaseInputs
{
    // Streams of the case's seed: inputs count from 0, the vectors of the checks from here.
    internal const int CotangentStream = 1000;
    internal const int SecondCotangentStream = 2000;
    internal const int DirectionStream = 3000;

    /// <summary>What was drawn for the case this thread draws for, by stream: a gradcheck asks for the same values many times.</summary>
    [ThreadStatic]
    private static (OperationCase? Case, Dictionary<int, double[]> Values) s_drawn;

    /// <summary>Makes the inputs of a case on a device.</summary>
    /// <param name="precision">
    /// BFloat16 rounds all values to it, so that only the operation's own rounding is seen, and gives those that are no parameters this
    /// type, on devices that have it.
    /// </param>
    public static Tensor[] Make(OperationCase operationCase, Backend device, Precision precision = Precision.Float32)
    {
        var inputs = new Tensor[operationCase.Inputs.Length];
        for (int i = 0; i < inputs.Length; i++)
        {
            var spec = operationCase.Inputs[i];
            inputs[i] = spec.Kind == InputKind.Integers
                ? Tensor.From(Integers(operationCase, i), spec.Shape, device)
                : InPrecision(Tensor.From(Rounded(Values(operationCase, i), precision), spec.Shape, device), precision, spec.IsParameter);
        }
        return inputs;
    }

    /// <summary>The values of a floating input, each of them a float32 number. Not to be changed.</summary>
    public static double[] Values(OperationCase operationCase, int input)
    {
        var spec = operationCase.Inputs[input];
        return spec.Kind switch
        {
            InputKind.Normal => Normals(operationCase, input, spec.Shape.Count),
            InputKind.Uniform => Uniforms(operationCase, input, spec.Shape.Count, spec.Low, spec.High),
            _ => throw new ArgumentException($"{operationCase}: input {input} holds integers."),
        };
    }

    /// <summary>The values that a precision can express.</summary>
    internal static double[] Rounded(double[] values, Precision precision) =>
        precision == Precision.BFloat16 ? Array.ConvertAll(values, x => (double)RoundToBFloat16((float)x)) : values;

    /// <summary>A tensor in the type that flows through a network of a precision; parameters, and Reference, keep theirs.</summary>
    internal static Tensor InPrecision(Tensor x, Precision precision, bool isParameter = false) =>
        precision == Precision.BFloat16 && !isParameter && x.DType == DType.Float32 ? x.To(DType.BFloat16) : x;

    /// <summary>To nearest, ties to even: adding half of the last kept place lets the carry do it.</summary>
    private static float RoundToBFloat16(float x)
    {
        uint bits = BitConverter.SingleToUInt32Bits(x);
        return BitConverter.UInt32BitsToSingle((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
    }

    internal static int[] Integers(OperationCase operationCase, int input)
    {
        var spec = operationCase.Inputs[input];
        var state = State(operationCase, input);
        var values = new int[spec.Shape.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = (int)spec.Low + (int)Philox.Integer(state, i, (uint)(spec.High - spec.Low));
        return values;
    }

    internal static double[] Normals(OperationCase operationCase, int stream, int count)
    {
        if (!Draw(operationCase, stream, count, out double[] values))
            return values;
        var state = State(operationCase, stream);
        for (int i = 0; i < count; i++)
        {
            var (r0, r1, _, _) = Philox.Block(state, (ulong)i);
            double radius = Math.Sqrt(-2 * Math.Log((r0 + 1.0) * Math.Pow(2, -32)));
            values[i] = (float)(radius * Math.Cos(2 * Math.PI * r1 * Math.Pow(2, -32)));
        }
        return values;
    }

    internal static double[] Uniforms(OperationCase operationCase, int stream, int count, double low, double high)
    {
        if (!Draw(operationCase, stream, count, out double[] values))
            return values;
        var state = State(operationCase, stream);
        for (int i = 0; i < count; i++)
        {
            float value = (float)(low + (high - low) * (Philox.Element(state, i) >> 8) * Math.Pow(2, -24));
            // Rounding to float32 can reach the open end of the interval.
            values[i] = value < high ? value : MathF.BitDecrement((float)high);
        }
        return values;
    }

    /// <returns>Whether the values are still to be drawn.</returns>
    private static bool Draw(OperationCase operationCase, int stream, int count, out double[] values)
    {
        if (!ReferenceEquals(s_drawn.Case, operationCase))
            s_drawn = (operationCase, []);
        if (s_drawn.Values.TryGetValue(stream, out values!) && values.Length == count)
            return false;
        s_drawn.Values[stream] = values = new double[count];
        return true;
    }

    private static PhiloxState State(OperationCase operationCase, int stream) =>
        new(StableHash(operationCase.ToString()) + operationCase.Seed, (ulong)stream, 0);

    /// <summary>64-bit FNV-1a of the text. String.GetHashCode differs from process to process.</summary>
    internal static ulong StableHash(string text)
    {
        ulong hash = 14695981039346656037;
        foreach (char c in text)
            hash = (hash ^ c) * 1099511628211;
        return hash;
    }
}
