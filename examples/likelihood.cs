// How probable is a point to a diffusion model? Two answers, and the truth beside them. Seconds, no data, no network.
//   dotnet run examples/likelihood.cs
#:project ../src/RawDiffusion.Diffusion/RawDiffusion.Diffusion.csproj
#:property PublishAot=false

using RawDiffusion;
using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

var data = new EightGaussians();
var process = new LinearSchedule();
var denoiser = data.Denoiser(process);
var x = data.Sample(500, new Generator(seed: 1));

// The density of eight Gaussians can be written down; its mean logarithm over samples is the entropy with a minus.
var truth = data.LogDensity(x);
Console.WriteLine($"ln p of 500 points, by the formula:     {truth.Mean().Item():0.0000} nats on average");

// 1. The probability flow carries data to noise without a random number. Along it ln p changes by the divergence of the velocity, and at
//    its end stands a normal distribution. The flow begins where a little noise is on, so that the score is defined.
//    This denoiser is made of tensor operations, because the flow wants derivatives by x as well.
const double Start = 1e-4;
var differentiable = data.DifferentiableDenoiser(process);
var tolerance = new OdeTolerance(1e-4, 1e-4);
var flow = FlowLikelihood.Evaluate(differentiable, x, Start, tolerance);
Console.WriteLine($"by the flow, exact divergence:          {flow.LogLikelihood.Mean().Item():0.0000}, off by at most {(flow.LogLikelihood - truth).Abs().Max().Item():0.000} a point, {flow.Evaluations} evaluations");

// In many dimensions the divergence costs one pass for each. Hutchinson: v^T J v with random signs v has the right mean, so single points
// scatter and their average does not.
var estimated = FlowLikelihood.Evaluate(differentiable, x, Start, tolerance, Divergence.Rademacher, new Generator(2));
Console.WriteLine($"by the flow, one random direction:      {estimated.LogLikelihood.Mean().Item():0.0000}, off by {(estimated.LogLikelihood - truth).Square().Mean().Sqrt().Item():0.000} a point (root mean square)");

// 2. DDPM's bound adds up how far each step back is from the true one. With the exact denoiser what is left is that a step back is a
//    Gaussian of a fixed variance: the smaller suits data that are points, the larger data as wide as the noise. Eight Gaussians of
//    deviation 0.1 want the larger where the noise is less than that, and many steps there.
foreach (var (name, variance, grid) in new (string, ReverseVariance, Func<int, double[]>)[]
{
    ("equal steps, small variance", ReverseVariance.FixedSmall, n => TimeGrid.Uniform(process, n)),
    ("equal steps, large variance", ReverseVariance.FixedLarge, n => TimeGrid.Uniform(process, n)),
    ("equal log-SNR, large variance", ReverseVariance.FixedLarge, n => TimeGrid.LogSnr(process, n, smallest: 0.005)),
})
{
    Console.Write($"at least, by the bound, {name,-30}");
    foreach (int steps in new[] { 10, 100, 1000 })
    {
        var bound = VariationalBound.Evaluate(denoiser, x, grid(steps), new Generator(3), Decoder.Gaussian, variance);
        Console.Write($"  {steps} steps: {-bound.Total:0.000} +- {bound.StandardError:0.000}");
    }
    Console.WriteLine();
}
