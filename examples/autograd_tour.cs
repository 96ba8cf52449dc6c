// A tour of tensors and autograd, from a derivative to the trace of a Jacobian.
//   dotnet run examples/autograd_tour.cs
#:project ../src/RawDiffusion/RawDiffusion.csproj
#:property PublishAot=false

using RawDiffusion;
using RawDiffusion.Nn;
using RawDiffusion.Optim;

Title("A derivative");
// y = x^2 sin x: operations are recorded as they run, and Backward walks them in reverse.
var x = Tensor.From([0.5f, 1, 2], [3]).RequireGrad();
var y = (x.Square() * x.Sin()).Sum();
y.Backward();
Show("dy/dx", x.Grad!);
Show("2x sin x + x^2 cos x", x.Detach() * 2 * x.Detach().Sin() + x.Detach().Square() * x.Detach().Cos());

Title("Gradients add up, until they are zeroed");
x.ZeroGrad();
(x * 3).Sum().Backward();
(x * 4).Sum().Backward();
Show("3 + 4", x.Grad!);

Title("Derivatives of derivatives");
// createGraph records the backward pass itself.
var u = Tensor.From([0.3f], [1]).RequireGrad();
Tensor derivative = u.Sin().Sum();
for (int order = 0; order <= 4; order++)
{
    Console.WriteLine($"  order {order} of sin at 0.3: {derivative.Item():0.00000}");
    if (order < 4)
        derivative = Autograd.Grad(derivative, [u], createGraph: true)[0]!.Sum();
}

Title("Hutchinson's trace: E[v^T J v] over random signs v is tr J");
// The divergence of a vector field without its Jacobian: what likelihoods of diffusion models need.
var generator = new Generator(seed: 1);
var a = Tensor.Randn(generator, [8, 8]);
Tensor Field(Tensor p) => p.MatMul(a).Tanh();
var point = Tensor.Randn(generator, [1, 8]);
double estimate = 0;
const int Probes = 2000;
for (int i = 0; i < Probes; i++)
{
    using var scope = new MemoryScope();
    var v = Tensor.Rand(generator, [1, 8]) * 2 - 1;
    v = v / v.Abs();
    var (_, product) = Autograd.Vjp(Field, point, v);
    estimate += (product * v).Sum().Item() / Probes;
}
double exact = 0;
for (int i = 0; i < 8; i++)
{
    var axis = Tensor.From(Enumerable.Range(0, 8).Select(j => j == i ? 1f : 0f).ToArray(), [1, 8]);
    exact += (Autograd.Jvp(Field, point, axis).Product * axis).Sum().Item();
}
Console.WriteLine($"  {Probes} probes: {estimate:0.000}, exactly: {exact:0.000}");

Title("Learning");
// A network of two layers learns to add its inputs. The scope hands all memory of a step back at once.
var model = new Sequential(new Linear(2, 16, generator), new SiLU(), new Linear(16, 1, generator));
var optimizer = new AdamW(model.NamedParameters(), learningRate: 1e-2);
for (int step = 1; step <= 300; step++)
{
    using var scope = new MemoryScope();
    var inputs = Tensor.Rand(generator, [64, 2]);
    var loss = F.MseLoss(model.Forward(inputs), inputs.Sum(1, keepDims: true));
    optimizer.ZeroGrad();
    loss.Backward();
    optimizer.Step();
    if (step % 100 == 0)
        Console.WriteLine($"  step {step}: loss {loss.Item():0.000000}");
}
Console.WriteLine($"  0.25 + 0.5 = {model.Forward(Tensor.From([0.25f, 0.5f], [1, 2])).Item():0.000}");

static void Title(string text) => Console.WriteLine($"\n{text}");
static void Show(string name, Tensor values) => Console.WriteLine($"  {name}: {string.Join(" ", values.ToArray().Select(v => $"{v:0.0000}"))}");
