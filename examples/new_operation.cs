// Adds an elementwise operation to the framework from outside: five lines and a row.
//   dotnet run examples/new_operation.cs
#:project ../src/RawDiffusion.Verification/RawDiffusion.Verification.csproj
#:property PublishAot=false

using RawDiffusion;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Ops;
using RawDiffusion.Verification;

// The operation is used like a built-in one: it runs on every device and gradients flow through it.
var x = Tensor.From([-3f, -1, 0, 1, 3], [5]).RequireGrad();
var y = Elementwise.Unary<Mish>(x);
y.Sum().Backward();
Console.WriteLine($"x        {string.Join("  ", x.ToArray().Select(v => $"{v,8:0.0000}"))}");
Console.WriteLine($"mish(x)  {string.Join("  ", y.ToArray().Select(v => $"{v,8:0.0000}"))}");
Console.WriteLine($"mish'(x) {string.Join("  ", x.Grad!.ToArray().Select(v => $"{v,8:0.0000}"))}");

// The row: what the table of operations needs to verify it.
var row = new OperationCase { Operation = "mish", Description = "[33]", Inputs = [InputSpec.Normal(33)], Run = t => Elementwise.Unary<Mish>(t[0]), SecondOrder = true };

// From the row follow the comparison of the SIMD version with the float64 definition, and gradcheck of both orders.
(string Check, CheckResult Result)[] results =
[
    ("cpu against reference", CaseVerifier.CompareWithReference(row, Device.Cpu)),
    ("first derivative", GradCheck.FirstOrder(row)),
    ("second derivative", GradCheck.SecondOrder(row)),
];
foreach (var (check, result) in results)
    Console.WriteLine($"{check}: {result.Failure ?? $"passed, worst error {result.WorstError:0.0e+0}"}");
return results.All(r => r.Result.Failure is null) ? 0 : 1;

/// <summary>Mish (Misra 2019): x tanh(softplus(x)).</summary>
internal readonly struct Mish : IUnaryOperation
{
    public static string Name => "mish";
    public static double Reference(double x, double a, double b) => x * Math.Tanh(Math.Log(1 + Math.Exp(x)));
    public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => x * VectorMath.Tanh(VectorMath.Log1P(VectorMath.Exp(x)));
    public static string Cuda => "x * tanhf(log1pf(expf(x)))";
    public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => gy * (F.Softplus(x).Tanh() + x * x.Sigmoid() * (1 - F.Softplus(x).Tanh().Square()));
}
