// What a FID is, and why it is printed with the number of samples: two Gaussians whose distance is known. Seconds, no data, no network.
//   dotnet run examples/distance_of_sets.cs
#:project ../src/RawDiffusion.Diffusion/RawDiffusion.Diffusion.csproj
#:property PublishAot=false

using RawDiffusion;
using RawDiffusion.Diffusion.Metrics;

// "Features" of real and of generated images: 32 numbers each, normal, of which the generated ones spread a little less and lie a little off.
const int Size = 32;
const double Shift = 0.1, Spread = 0.8;
Tensor Real(int n, ulong seed) => Tensor.Randn(new Generator(seed), [n, Size]);
Tensor Generated(int n, ulong seed) => Tensor.Randn(new Generator(seed, stream: 1), [n, Size]) * Spread + Shift;

// |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) is for covariances 1 and s^2 the sum of shift^2 + (1 - s)^2 over the features.
double exact = Size * (Shift * Shift + (1 - Spread) * (1 - Spread));
// (x . y / D + 1)^3 is a polynomial of normal numbers, whose mean is known; by a large sample here.
double kernel = KernelDistances.KernelInception(Generated(4000, 90), Real(4000, 91));
Console.WriteLine($"exactly: FID {exact:0.000}; KID about {kernel:0.0000}\n");
Console.WriteLine("                 generated against real        real against real");
Console.WriteLine("samples           FID      KID                 FID      KID");
foreach (int n in new[] { 50, 100, 200, 500, 1000, 2000 })
{
    // What scatters around the right value is averaged away over draws; what is wrong with all of them stays.
    const int Draws = 8;
    double[] sums = new double[4];
    for (ulong draw = 0; draw < Draws; draw++)
    {
        FeatureSet real = Gather(Real(n, draw)), other = Gather(Real(n, draw + 50)), generated = Gather(Generated(n, draw));
        sums[0] += FrechetDistance.Between(generated.Statistics, real.Statistics) / Draws;
        sums[1] += KernelDistances.KernelInception(generated.Kept(), real.Kept()) / Draws;
        sums[2] += FrechetDistance.Between(other.Statistics, real.Statistics) / Draws;
        sums[3] += KernelDistances.KernelInception(other.Kept(), real.Kept()) / Draws;
    }
    Console.WriteLine($"{n,7}{sums[0],14:0.000}{sums[1],9:0.0000}{sums[2],20:0.000}{sums[3],9:0.0000}");
}
Console.WriteLine("\nA FID of few samples is too large, even between real ones: compare it at the same number, beside that floor. A KID is not.");

// Sets come in batches; parts gathered apart can be joined. Nothing but the mean and the scatter is kept of what has gone by.
FeatureSet Gather(Tensor features)
{
    var set = new FeatureSet(Size);
    for (int start = 0; start < features.Shape[0]; start += 100)
        set.Add(features.Slice(0, start, Math.Min(100, features.Shape[0] - start)));
    return set;
}
