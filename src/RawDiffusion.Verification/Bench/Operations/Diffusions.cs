using RawDiffusion.Backends;

namespace RawDiffusion.Verification.Bench.Operations;

/// <summary>Random numbers and what draws them inside: the noise schedule and dropout.</summary>
internal static class Diffusions
{
    private static readonly PhiloxState s_state = new(1, 2, 3);

    public static IEnumerable<BenchOperation> All()
    {
        yield return new BenchOperation
        {
            Name = "random",
            What = "Philox4x32-10: uniform, normal by Box and Muller, normal by the inverse distribution function",
            Form = "uniform|normal|inverse:COUNT",
            Shapes = ["uniform:4M", "normal:4M", "inverse:4M"],
            SmallShapes = ["uniform:16K", "normal:16K"],
            HasBFloat16 = false,
            Create = text =>
            {
                string kind = text.OneOf("uniform", "normal", "inverse");
                return new BenchCase
                {
                    Tensors = [BenchTensor.Output("y", text.After(":"))],
                    Run = kind switch
                    {
                        "uniform" => (device, s) => device.Uniform(s_state, 0, 1, s[0]),
                        "normal" => (device, s) => device.Normal(NormalMethod.BoxMuller, s_state, s[0]),
                        _ => (device, s) => device.Normal(NormalMethod.InverseCdf, s_state, s[0]),
                    },
                };
            },
        };
        yield return new BenchOperation
        {
            Name = "dropout",
            What = "dropout with p = 0.1, random numbers drawn inside",
            Form = "COUNT",
            Shapes = ["4M", "64M"],
            SmallShapes = ["16K"],
            Create = text =>
            {
                int count = text.Number();
                return new BenchCase
                {
                    Tensors = [BenchTensor.Input("x", count), BenchTensor.Output("y", count)],
                    Run = (device, s) => device.Dropout(s_state, 0.1, s[0], s[1]),
                };
            },
        };
        yield return new BenchOperation
        {
            Name = "forwardDiffusion",
            What = "x_t = alpha x_0 + sigma noise, noise drawn inside and kept",
            Form = "SAMPLESxSIZE",
            Shapes = ["128x784", "128x3072", "4096x1024"],
            SmallShapes = ["8x784"],
            HasBFloat16 = false,
            Create = text =>
            {
                int samples = text.Number(), size = text.By();
                long count = (long)samples * size;
                return new BenchCase
                {
                    Tensors =
                    [
                        BenchTensor.Input("x0", count), new("alpha", samples, BenchValues.Uniform), new("sigma", samples, BenchValues.Uniform),
                        BenchTensor.Output("xt", count), BenchTensor.Output("noise", count),
                    ],
                    Run = (device, s) => device.ForwardDiffusion(samples, size, s_state, s[0], s[1], s[2], s[3], s[4]),
                };
            },
        };
        yield return new BenchOperation
        {
            Name = "diffusionStep",
            What = "one step of a sampler; ddpm draws noise, ddim does not",
            Form = "ddpm|ddim:COUNT",
            Shapes = ["ddim:48K", "ddpm:4M", "ddim:4M"],
            SmallShapes = ["ddpm:16K", "ddim:16K"],
            HasBFloat16 = false,
            Create = text =>
            {
                double noise = text.OneOf("ddpm", "ddim") == "ddpm" ? 0.3 : 0;
                var c = new DiffusionStepCoefficients(1.1, 0.5, double.PositiveInfinity, 0.1, 0.8, 0, noise);
                int count = text.After(":");
                return new BenchCase
                {
                    Tensors = [BenchTensor.Input("x", count), BenchTensor.Input("eps", count), BenchTensor.Output("y", count)],
                    Run = (device, s) => device.DiffusionStep(c, s_state, s[0], s[1], s[2]),
                };
            },
        };
        yield return new BenchOperation
        {
            Name = "weightedMse",
            What = "weighted mean squared error of every sample",
            Form = "SAMPLESxSIZE",
            Shapes = ["128x3072", "4096x1024"],
            SmallShapes = ["8x784"],
            HasBFloat16 = false,
            Create = text =>
            {
                int samples = text.Number(), size = text.By();
                return new BenchCase
                {
                    Tensors =
                    [
                        BenchTensor.Input("x", (long)samples * size), BenchTensor.Input("y", (long)samples * size),
                        new("weights", samples, BenchValues.Uniform), BenchTensor.Output("losses", samples, size),
                    ],
                    Run = (device, s) => device.WeightedMse(samples, size, s[0], s[1], s[2], s[3]),
                };
            },
        };
    }
}
