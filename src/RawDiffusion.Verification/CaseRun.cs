using RawDiffusion.Backends;

namespace RawDiffusion.Verification;

/// <summary>What a case computed on a device: the output and the gradient of every differentiated input, read back.</summary>
internal sealed class CaseRun
{
    public required Shape Shape { get; init; }

    public required DType DType { get; init; }

    /// <summary>The output; integers as numbers.</summary>
    public required double[] Output { get; init; }

    /// <summary>By input; null where an input is not differentiated. Zeros where the output does not depend on it.</summary>
    public required double[]?[] Gradients { get; init; }

    /// <summary>Runs a case forward and, where it is differentiable, backward.</summary>
    public static CaseRun Make(OperationCase operationCase, Backend device, Precision precision = Precision.Float32)
    {
        using var scope = new MemoryScope();
        var inputs = CaseInputs.Make(operationCase, device, precision);
        var differentiated = RequireGradients(operationCase, inputs);
        var output = operationCase.Run(inputs);
        var gradients = new double[]?[inputs.Length];
        if (differentiated.Length > 0)
        {
            var computed = Backward(operationCase, output, differentiated, createGraph: false, precision);
            for (int i = 0, j = 0; i < inputs.Length; i++)
            {
                if (inputs[i].RequiresGrad)
                    gradients[i] = Values(computed[j++], inputs[i]);
            }
        }
        double[] values = Values(output, output);
        // What a kernel met whose result nobody read, or that has no elements, belongs to this case and not to the next.
        device.Synchronize();
        return new CaseRun { Shape = output.Shape, DType = output.DType, Output = values, Gradients = gradients };
    }

    /// <summary>Asks for the gradients of the inputs that a case differentiates and returns those.</summary>
    public static Tensor[] RequireGradients(OperationCase operationCase, Tensor[] inputs)
    {
        if (!operationCase.Differentiable)
            return [];
        var differentiated = new List<Tensor>();
        for (int i = 0; i < inputs.Length; i++)
        {
            if (operationCase.Inputs[i] is { Differentiate: true, Kind: not InputKind.Integers })
                differentiated.Add(inputs[i].RequireGrad());
        }
        return [.. differentiated];
    }

    /// <summary>The gradients of sum(output * fixed random cotangent).</summary>
    public static Tensor?[] Backward(
        OperationCase operationCase, Tensor output, Tensor[] inputs, bool createGraph, Precision precision = Precision.Float32)
    {
        var cotangent = Tensor.From(
            CaseInputs.Rounded(CaseInputs.Normals(operationCase, CaseInputs.CotangentStream, output.Count), precision), output.Shape, output.Device)
            .To(output.DType);
        return Autograd.Grad(output, inputs, cotangent, createGraph: createGraph);
    }

    public static double[] Values(Tensor? tensor, Tensor like)
    {
        if (tensor is null)
            return new double[like.Count];
        return tensor.DType == DType.Int32 ? Array.ConvertAll(tensor.ToInt32Array(), x => (double)x) : tensor.ToDoubleArray();
    }
}
