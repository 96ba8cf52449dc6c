// Diffusion without Gaussians: strings of twenty bits with a 1 every fifth, as in Sohl-Dickstein et al. 2015. Bits flip until nothing is left,
// and a network learns the way back.
//   dotnet run examples/heartbeat.cs
#:project ../src/RawDiffusion.Diffusion/RawDiffusion.Diffusion.csproj
#:property PublishAot=false

using RawDiffusion;
using RawDiffusion.Diffusion.Markov;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Optim;

const int Steps = 1500, Batch = 256, Length = 20;
var generator = new Generator(seed: 0);
var data = BitMixture.Heartbeat(Length, period: 5);

// In each of 200 steps every bit is tossed anew with probability beta_t = 1 / (T - t + 1).
var chain = new BinomialChain(MarkovSchedule.EqualShares(200));
var model = new MlpDenoiser(generator, dimensions: Length);
var reverse = chain.Reverse(chain.X0Model(model.Forward));
var optimizer = new AdamW(model.NamedParameters(), learningRate: 2e-3);
var ema = new Ema(model, decay: 0.995);

for (int step = 0; step < Steps; step++)
{
    using var scope = new MemoryScope();
    var batch = new MarkovBatch<Bernoulli>(chain, reverse, data.Sample(Batch, generator), generator);
    var loss = batch.Loss(batch.Draw(batch.Inputs));

    optimizer.ZeroGrad();
    loss.Backward();
    optimizer.LearningRate = 2e-3 * Schedule.Cosine(step, Steps);
    optimizer.Step(ema);
    if ((step + 1) % 500 == 0)
        Console.WriteLine($"step {step + 1}: loss {loss.Item() * Length / Math.Log(2):0.00} bits per string");
}

ema.CopyTo(model);
var samples = chain.Sample(reverse, [1000, Length], generator, (t, x) =>
{
    if (t % 40 == 0)
        Console.WriteLine($"{t,3} steps to go: {string.Concat(x.ToArray().Take(Length).Select(bit => bit > 0 ? '1' : '.'))}");
});
var (each, others) = data.Count(samples);
var bound = MarkovBound.Evaluate(chain, reverse, data.Sample(1000, generator), generator);
Console.WriteLine($"of 1000 samples {1000 - others} are heartbeats, by phase {string.Join(", ", each)}");
Console.WriteLine($"bound {bound.Total / Math.Log(2):0.00} bits per string, entropy {data.Entropy / Math.Log(2):0.00}");
