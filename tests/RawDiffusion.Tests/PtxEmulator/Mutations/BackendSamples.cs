using RawDiffusion.Backends;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

/// <summary>What a backend does beside the operations of the table: optimizers, random numbers, argmax. Compared with the Cpu device.</summary>
internal static class BackendSamples
{
    private static readonly PhiloxState s_state = new(123, 7, 5);

    public static IEnumerable<Probe> All => Samples().Select(sample => new Probe(sample.Kind, sample.Name, device => Compare(sample, device)));

    private static CheckResult? Compare((string Kind, string Name, Func<Backend, double[]> Run) sample, Backend device)
    {
        try
        {
            double[] expected = sample.Run(Device.Cpu), actual = sample.Run(device);
            device.Synchronize();
            for (int i = 0; i < expected.Length; i++)
            {
                // Float32 after a few operations on values of this size.
                if (!(Math.Abs(actual[i] - expected[i]) <= 1e-5 * Math.Max(1, Math.Abs(expected[i]))))
                    return CheckResult.Failed($"{sample.Name}: element {i} is {actual[i]}, expected {expected[i]}");
            }
            return CheckResult.Passed;
        }
        catch (Exception e)
        {
            return CheckResult.Failed($"{sample.Name}: {e}");
        }
    }

    private static IEnumerable<(string Kind, string Name, Func<Backend, double[]> Run)> Samples()
    {
        foreach (int length in (int[])[1, 2, 3, 33, 1003])
        {
            yield return ("uniform", $"uniform {length}", device => Out(device, length, y => device.Uniform(s_state, -1, 3, y)));
            yield return ("normal", $"normal {length}", device => Out(device, length, y => device.Normal(NormalMethod.BoxMuller, s_state, y)));
            yield return ("normal by inverse", $"normal by inverse {length}", device => Out(device, length, y => device.Normal(NormalMethod.InverseCdf, s_state, y)));
            yield return ("dropout", $"dropout {length}", device => Out(device, length, y => device.Dropout(s_state, 0.4, In(device, length, 1), y)));
            yield return ("integers", $"integers {length}", device => Indices(device, length, y => device.Integers(s_state, -5, 60, y)));
            yield return ("ema", $"ema {length}", device => InPlace(device, length, y => device.Ema(0.75, In(device, length, 1), y)));
            yield return ("accumulate", $"accumulate {length}", device => InPlace(device, length, y => device.Accumulate(In(device, length, 1), y)));
            foreach (bool clip in (bool[])[false, true])
            {
                yield return ("adamw", $"adamw {length}", device => InPlace(device, length, y => device.AdamW(
                    new AdamWStep(0.01, 0.9, 0.99, 1e-8, 0.1, clip, 0.1, 0.01), y, In(device, length, 1), In(device, length, 2), In(device, length, 3, 0, 1),
                    clip ? In(device, 1, 4, 5, 6) : null, 2)));
                yield return ("average of adamw", $"average of adamw {length}", device => InPlace(device, length, y => device.AdamW(
                    new AdamWStep(0.01, 0.9, 0.99, 1e-8, 0.1, clip, 0.1, 0.01), In(device, length, 5), In(device, length, 1), In(device, length, 2),
                    In(device, length, 3, 0, 1), clip ? In(device, 1, 4, 5, 6) : null, 2, y, 0.75)));
                yield return ("sgd", $"sgd {length}", device => InPlace(device, length, y => device.Sgd(
                    new SgdStep(0.01, 0.9, 0.1, clip, !clip), y, In(device, length, 1), In(device, length, 2), clip ? In(device, 1, 4, 5, 6) : null, 2)));
            }
        }
        foreach (var g in (ReduceGeometry[])[new(5, 70, 1), new(1, 1000, 1), new(3, 40, 6), new(100, 3, 5)])
            yield return ("argmax", $"argmax {g}", device => Indices(device, g.Outer * g.Inner, y => device.ArgMax(g, In(device, g.Outer * g.Reduce * g.Inner, 1), y)));
        // Of equal values the first counts, in whatever order threads compare them.
        yield return ("argmax", "argmax of equal values", device => Indices(device, 2, y =>
        {
            double[] values = new double[200];
            foreach (int i in (int[])[3, 5, 35, 40, 150, 107, 108, 170])
                values[i] = 2;
            device.ArgMax(new ReduceGeometry(2, 100, 1), Tensor.From(values, [200], device).Storage, y);
        }));
    }

    private static Storage In(Backend device, int length, int seed, double low = -2, double high = 2)
    {
        var random = new Random(seed);
        double[] values = [.. Enumerable.Range(0, length).Select(_ => (double)(float)(low + (high - low) * random.NextDouble()))];
        return Tensor.From(values, [length], device).Storage;
    }

    private static double[] Out(Backend device, int length, Action<Storage> run)
    {
        var y = device.Allocate(device.FloatType, length);
        run(y);
        return Read(device, y);
    }

    private static double[] InPlace(Backend device, int length, Action<Storage> run)
    {
        var y = In(device, length, 9);
        run(y);
        return Read(device, y);
    }

    private static double[] Read(Backend device, Storage y)
    {
        var values = new float[y.Length];
        device.Download(y, values);
        return Array.ConvertAll(values, value => (double)value);
    }

    private static double[] Indices(Backend device, int length, Action<Storage> run)
    {
        var y = device.Allocate(DType.Int32, length);
        run(y);
        var values = new int[length];
        device.Download(y, values);
        return Array.ConvertAll(values, value => (double)value);
    }
}
