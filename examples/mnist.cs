// A class-conditional DDPM of handwritten digits, written out: a UNet, its training loop, guided sampling, a picture.
//   dotnet run examples/mnist.cs                   (downloads MNIST once)
//   dotnet run examples/mnist.cs ~/mnist           (the folder with its four files)
//   dotnet run examples/mnist.cs digits 300        (digits drawn by the library, no files; 300 steps)
#:project ../src/RawDiffusion.Diffusion/RawDiffusion.Diffusion.csproj
#:property PublishAot=false

using RawDiffusion;
using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Optim;

const int Batch = 64, Classes = 10, NoClass = Classes;
const ulong Seed = 0;
int steps = args.Length > 1 ? int.Parse(args[1]) : 2000;
var data = args is ["digits", ..] ? DataSets.Open("digits") : DataSets.Open("mnist", new DataOptions { Directory = args.FirstOrDefault() });
var generator = new Generator(Seed);

// Three levels of 28, 14 and 7 pixels, attention at the last; one class more than there are digits says "any".
var model = new UNet2D(
    new UNet2DConfig
    {
        InChannels = 1,
        OutChannels = 1,
        BlockOutChannels = [32, 64, 64],
        DownBlockTypes = ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
        UpBlockTypes = ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
        LayersPerBlock = 1,
        NormNumGroups = 8,
        NumClassEmbeds = Classes + 1,
    },
    generator);
var process = new CosineSchedule();
var schedule = new DiscreteSchedule(process);
var optimizer = new AdamW(model.NamedParameters(), learningRate: 1e-3);
var ema = new Ema(model, decay: 0.995);
Console.WriteLine($"{data.Name}: {model.ParameterCount:#,0} parameters, {steps} steps of {Batch}");

for (int step = 0; step < steps; step++)
{
    using var scope = new MemoryScope();
    var batch = data.Draw((long)step * Batch, Batch, Seed);
    // A tenth of the samples is learned without their class, so that the same network can be guided.
    int[] labels = batch.Labels!.ToInt32Array();
    for (int i = 0; i < Batch; i += 10)
        labels[i] = NoClass;
    var (alpha, sigma, time) = schedule.Draw(Batch, generator);
    var (xt, eps) = F.ForwardDiffusion(batch.X, alpha, sigma, generator);
    var loss = F.MseLoss(model.Forward(xt, time, Tensor.From(labels, [Batch])), eps);

    optimizer.ZeroGrad();
    loss.Backward();
    optimizer.ClipGradNorm(1);
    optimizer.LearningRate = 1e-3 * Schedule.Cosine(step, steps, warmup: steps / 20);
    optimizer.Step(ema);
    if ((step + 1) % 50 == 0)
        Console.WriteLine($"step {step + 1}: loss {loss.Item():0.0000}");
}

// Every digit ten times, from the same noise in each column: what changes down the rows is the class alone.
ema.CopyTo(model);
model.Eval();
int[] digits = [.. Enumerable.Range(0, 100).Select(i => i / 10)];
var row = Sampler.Prior(process, [10, 28, 28, 1], generator);
var noise = Tensor.Concat([.. Enumerable.Repeat(row, 10)]);
Tensor told = Tensor.From(digits, [100]), untold = Tensor.From([.. Enumerable.Repeat(NoClass, 100)], [100]);
var denoiser = Guidance.ClassifierFree(
    new Denoiser((x, t) => model.Forward(x, t, told), process), new Denoiser((x, t) => model.Forward(x, t, untold), process), scale: 2);
var samples = Sampler.Ddim(denoiser, noise, TimeGrid.Uniform(process, 50), generator, clipX0: 1);
new ImageGrid { Zoom = 2, Columns = 10 }.Save(samples, "mnist.png");
ModelFolder.Save("mnist-model", model);
Console.WriteLine("samples: mnist.png; the network, as diffusers reads it: mnist-model/");
