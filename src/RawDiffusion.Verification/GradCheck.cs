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
        var variables = Variables(operationCase);
        return Check(
            operationCase, "gradient", variables, [.. variables.Inputs.Select(input => run.Gradients[input]!)],
            Cost(operationCase, run.Output.Length), values => Forward(operationCase, variables, values),
            CaseInputs.Normals(operationCase, CaseInputs.CotangentStream, run.Output.Length));
    });

    /// <summary>
    /// The gradients of sum(gradient * v), v fixed and random, by recording the backward pass, against differences of the first
    /// gradient. The cotangent of the first pass is a variable too: the backward pass is linear in it.
    /// </summary>
    public static CheckResult SecondOrder(OperationCase operationCase) => CaseVerifier.Guard(operationCase, () =>
    {
        var (first, recorded, second) = SecondGradients(operationCase);
        int outputs = second[^1].Length;
        var variables = Variables(operationCase);
        variables = new VariableSet(
            [.. variables.Inputs, -1],
            [.. variables.Values, CaseInputs.Normals(operationCase, CaseInputs.CotangentStream, outputs)]);
        return s_sameGradient.Compare($"{operationCase}: recorded against plain gradients", recorded, first).And(Check(
            operationCase, "second-order gradient", variables, second,
            3 * Cost(operationCase, outputs), values => FirstGradients(operationCase, variables, values),
            SecondCotangent(operationCase, first)));
    });

    /// <summary>The floating inputs that a case differentiates: their numbers and their values.</summary>
    private sealed record VariableSet(int[] Inputs, double[][] Values);

    private static VariableSet Variables(OperationCase operationCase)
    {
        int[] inputs = [.. Enumerable.Range(0, operationCase.Inputs.Length)
            .Where(i => operationCase.Inputs[i] is { Differentiate: true, Kind: not InputKind.Integers })];
        return new VariableSet(inputs, [.. inputs.Select(i => CaseInputs.Values(operationCase, i))]);
    }

    /// <summary>Compares the analytic gradients of sum(f * weights) for every variable with differences of f.</summary>
    private static CheckResult Check(
        OperationCase operationCase, string what, VariableSet variables, double[][] gradients, double cost,
        Func<double[][], double[]> f, double[] weights)
    {
        double affordable = Math.Min(MaxElements, Budget / cost);
        var everything = new List<int>();
        var result = CheckResult.Passed;
        for (int variable = 0; variable < gradients.Length; variable++)
        {
            int input = variables.Inputs[variable], count = variables.Values[variable].Length;
            string name = input < 0
                ? $"{operationCase}: {what} of the cotangent"
                : $"{operationCase}: {what} of input {input} {operationCase.Inputs[input].Shape}";
            if (gradients[variable].Length != count)
                return CheckResult.Failed($"{name}: {gradients[variable].Length} elements, expected {count}");
            if (count <= affordable)
            {
                for (int i = 0; i < count; i++)
                    result = result.And(Element(name, variable, i));
            }
            else if (affordable < 4)
            {
                everything.Add(variable);
            }
            else
            {
                var picked = new Random(unchecked((int)CaseInputs.StableHash(name)));
                for (int i = 0; i < Math.Min(affordable / 4, MaxSampledElements); i++)
                    result = result.And(Element(name, variable, picked.Next(count)));
                result = result.And(Along(name, [variable]));
            }
        }
        return everything.Count == 0 ? result : result.And(Along($"{operationCase}: {what}s of all inputs together", everything));

        CheckResult Element(string name, int variable, int i)
        {
            var direction = new double[variables.Values[variable].Length];
            direction[i] = 1;
            return Compare($"{name}, element {i} (analytic, then numeric)", gradients[variable][i], Difference([variable], [direction]));
        }

        CheckResult Along(string name, List<int> moved)
        {
            var worst = CheckResult.Passed;
            for (int k = 0; k < Directions; k++)
            {
                double analytic = 0;
                var directions = new List<double[]>();
                foreach (int variable in moved)
                {
                    var direction = CaseInputs.Uniforms(
                        operationCase, CaseInputs.DirectionStream + Directions * variable + k, variables.Values[variable].Length, -1, 1);
                    for (int i = 0; i < direction.Length; i++)
                        analytic += gradients[variable][i] * direction[i];
                    directions.Add(direction);
                }
                worst = worst.And(Compare($"{name}, along direction {k} (analytic, then numeric)", analytic, Difference(moved, directions)));
            }
            return worst;
        }

        double Difference(List<int> moved, List<double[]> directions)
        {
            double[] plus = f(Moved(variables.Values, moved, directions, Step));
            double[] minus = f(Moved(variables.Values, moved, directions, -Step));
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

    private static double[][] Moved(double[][] values, List<int> moved, List<double[]> directions, double step)
    {
        var result = (double[][])values.Clone();
        for (int k = 0; k < moved.Count; k++)
        {
            double[] x = values[moved[k]], y = new double[x.Length];
            for (int i = 0; i < x.Length; i++)
                y[i] = x[i] + step * directions[k][i];
            result[moved[k]] = y;
        }
        return result;
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
