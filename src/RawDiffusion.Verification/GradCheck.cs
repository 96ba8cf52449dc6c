namespace RawDiffusion.Verification;

/// <summary>
/// Derivatives against central differences in float64 on the Reference device. Small inputs are checked element by element;
/// large or costly ones on a fixed random subset of elements and along random directions, which touch every element at once.
/// </summary>
public static class GradCheck
{
    private const double Step = 1e-6;
    private const int MaxElements = 128;
    private const int MaxSampledElements = 12;
    private const int Directions = 2;

    /// <summary>Terms (outputs times reduction length) that one variable may cost, so that the whole table takes about a minute.</summary>
    private const double Budget = 2e6;

    private static readonly Tolerance s_tolerance = new(1e-5, 1e-3);

    /// <summary>Two ways to the same first derivative in float64, fused and recorded, differ by rounding alone.</summary>
    private static readonly Tolerance s_sameGradient = new(1e-10, 1e-9);

    /// <summary>The gradients of sum(output * c) against differences of sum(output * c), c fixed and random.</summary>
    public static CheckResult FirstOrder(OperationCase operationCase) => CaseVerifier.Guard(operationCase, () =>
    {
        var run = CaseRun.Make(operationCase, Device.Reference);
        var cotangent = CaseInputs.Normals(operationCase, CaseInputs.CotangentStream, run.Output.Length);
        var variables = Variables(operationCase);
        var result = CheckResult.Passed;
        foreach (var (variable, input) in variables.Values.Select((values, j) => (j, variables.Inputs[j])))
        {
            result = result.And(Check(
                operationCase, $"{operationCase}: gradient of input {input} {operationCase.Inputs[input].Shape}", variables, variable,
                run.Gradients[input]!, Cost(operationCase, run.Output.Length), values => Forward(operationCase, variables, values), cotangent));
        }
        return result;
    });

    /// <summary>
    /// The gradients of sum(gradient * v), v fixed and random, by recording the backward pass, against differences of the first
    /// gradient. The cotangent of the first pass is a variable too: the backward pass is linear in it.
    /// </summary>
    public static CheckResult SecondOrder(OperationCase operationCase) => CaseVerifier.Guard(operationCase, () =>
    {
        var (first, recorded, second) = SecondGradients(operationCase);
        var variables = Variables(operationCase);
        int outputCount = second[^1].Length;
        var cotangent = CaseInputs.Normals(operationCase, CaseInputs.CotangentStream, outputCount);
        variables = new VariableSet([.. variables.Inputs, -1], [.. variables.Values, cotangent]);
        var weights = SecondCotangent(operationCase, first);
        var result = s_sameGradient.Compare($"{operationCase}: recorded against plain gradients", recorded, first);
        for (int variable = 0; variable < variables.Values.Length; variable++)
        {
            int input = variables.Inputs[variable];
            string what = input < 0 ? "the cotangent" : $"input {input} {operationCase.Inputs[input].Shape}";
            result = result.And(Check(
                operationCase, $"{operationCase}: second-order gradient of {what}", variables, variable,
                second[variable], 3 * Cost(operationCase, outputCount), values => FirstGradients(operationCase, variables, values), weights));
        }
        return result;
    });

    /// <summary>The floating inputs that a case differentiates: their numbers and their values.</summary>
    private sealed record VariableSet(int[] Inputs, double[][] Values);

    private static VariableSet Variables(OperationCase operationCase)
    {
        int[] inputs = [.. Enumerable.Range(0, operationCase.Inputs.Length)
            .Where(i => operationCase.Inputs[i] is { Differentiate: true, Kind: not InputKind.Integers })];
        return new VariableSet(inputs, [.. inputs.Select(i => CaseInputs.Values(operationCase, i))]);
    }

    /// <summary>Compares an analytic gradient of sum(f * weights) for one variable with differences of f.</summary>
    private static CheckResult Check(
        OperationCase operationCase, string what, VariableSet variables, int variable, double[] gradient, double cost,
        Func<double[][], double[]> f, double[] weights)
    {
        var values = (double[][])variables.Values.Clone();
        double[] x = variables.Values[variable];
        if (gradient.Length != x.Length)
            return CheckResult.Failed($"{what}: {gradient.Length} elements, expected {x.Length}");
        var result = CheckResult.Passed;
        double affordable = Math.Min(MaxElements, Budget / cost);
        if (x.Length <= affordable)
        {
            for (int i = 0; i < x.Length; i++)
                result = result.And(Element(i));
            return result;
        }
        var picked = new Random(unchecked((int)CaseInputs.StableHash(what)));
        for (int i = 0; i < Math.Clamp(affordable / 4, 1, MaxSampledElements); i++)
            result = result.And(Element(picked.Next(x.Length)));
        for (int k = 0; k < Directions; k++)
        {
            var direction = CaseInputs.Uniforms(operationCase, CaseInputs.DirectionStream + 16 * variable + k, x.Length, -1, 1);
            double analytic = 0;
            for (int i = 0; i < x.Length; i++)
                analytic += gradient[i] * direction[i];
            result = result.And(Compare($"{what}, along direction {k}", analytic, Difference(direction)));
        }
        return result;

        CheckResult Element(int i)
        {
            var direction = new double[x.Length];
            direction[i] = 1;
            return Compare($"{what}, element {i} (analytic, then numeric)", gradient[i], Difference(direction));
        }

        double Difference(double[] direction)
        {
            values[variable] = Moved(x, direction, Step);
            double[] plus = f(values);
            values[variable] = Moved(x, direction, -Step);
            double[] minus = f(values);
            // The difference before the sum: it cancels what the variable does not touch.
            double sum = 0;
            for (int i = 0; i < plus.Length; i++)
                sum += weights[i] * (plus[i] - minus[i]);
            return sum / (2 * Step);
        }
    }

    private static double Cost(OperationCase operationCase, int outputs) =>
        2 * ((double)outputs * operationCase.ReductionLength + operationCase.Inputs.Sum(input => input.Shape.Count) + 100);

    private static CheckResult Compare(string what, double analytic, double numeric) => s_tolerance.Compare(what, [analytic], [numeric]);

    private static double[] Moved(double[] x, double[] direction, double step)
    {
        var moved = new double[x.Length];
        for (int i = 0; i < x.Length; i++)
            moved[i] = x[i] + step * direction[i];
        return moved;
    }

    /// <summary>The inputs of a case on Reference with the variables at given values.</summary>
    private static Tensor[] Inputs(OperationCase operationCase, VariableSet variables, double[][] values)
    {
        var inputs = CaseInputs.Make(operationCase, Device.Reference);
        for (int j = 0; j < variables.Inputs.Length; j++)
        {
            if (variables.Inputs[j] >= 0)
                inputs[variables.Inputs[j]] = Tensor.From(values[j], operationCase.Inputs[variables.Inputs[j]].Shape, Device.Reference);
        }
        return inputs;
    }

    private static double[] Forward(OperationCase operationCase, VariableSet variables, double[][] values)
    {
        using var noGrad = new NoGrad();
        return operationCase.Run(Inputs(operationCase, variables, values)).ToDoubleArray();
    }

    /// <summary>All first gradients, one after the other; the last of the variables is the cotangent.</summary>
    private static double[] FirstGradients(OperationCase operationCase, VariableSet variables, double[][] values)
    {
        var inputs = Inputs(operationCase, variables, values);
        var differentiated = CaseRun.RequireGradients(operationCase, inputs);
        var output = operationCase.Run(inputs);
        var gradients = Autograd.Grad(output, differentiated, Tensor.From(values[^1], output.Shape, Device.Reference));
        return Concatenate(gradients, differentiated);
    }

    /// <summary>First gradients plain and recorded, and the gradients of sum(recorded * v) for every input and the cotangent.</summary>
    private static (double[] First, double[] Recorded, double[][] Second) SecondGradients(OperationCase operationCase)
    {
        var inputs = CaseInputs.Make(operationCase, Device.Reference);
        var differentiated = CaseRun.RequireGradients(operationCase, inputs);
        var output = operationCase.Run(inputs);
        var cotangent = Tensor.From(
            CaseInputs.Normals(operationCase, CaseInputs.CotangentStream, output.Count), output.Shape, Device.Reference);
        double[] first = Concatenate(Autograd.Grad(output, differentiated, cotangent, retainGraph: true), differentiated);
        Tensor[] leaves = [.. differentiated, cotangent.RequireGrad()];
        var gradients = Autograd.Grad(output, differentiated, cotangent, createGraph: true);
        var second = Array.ConvertAll(leaves, leaf => new double[leaf.Count]);
        double[] weights = SecondCotangent(operationCase, first);
        int start = 0;
        for (int i = 0; i < gradients.Length; i++)
        {
            int count = differentiated[i].Count;
            var v = weights.AsSpan(start, count);
            start += count;
            // A gradient that depends on nothing has second derivatives of zero.
            if (gradients[i] is not { RequiresGrad: true } gradient)
                continue;
            var products = Autograd.Grad(gradient, leaves, Tensor.From(v, gradient.Shape, Device.Reference), retainGraph: true);
            for (int j = 0; j < leaves.Length; j++)
                Add(CaseRun.Values(products[j], leaves[j]), second[j]);
        }
        return (first, Concatenate(gradients, differentiated), second);
    }

    private static double[] SecondCotangent(OperationCase operationCase, double[] gradients) =>
        CaseInputs.Normals(operationCase, CaseInputs.SecondCotangentStream, gradients.Length);

    private static double[] Concatenate(Tensor?[] gradients, Tensor[] like)
    {
        var all = new List<double>();
        for (int i = 0; i < gradients.Length; i++)
            all.AddRange(CaseRun.Values(gradients[i], like[i]));
        return [.. all];
    }

    private static void Add(double[] x, double[] sum)
    {
        for (int i = 0; i < x.Length; i++)
            sum[i] += x[i];
    }
}
