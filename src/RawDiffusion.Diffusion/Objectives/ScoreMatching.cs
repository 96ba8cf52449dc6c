using RawDiffusion.Diffusion.Likelihood;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// Score matching without noise: the score s(x) of data is found from s alone, by E[|s|^2 / 2 + tr ds/dx] (Hyvarinen 2005, theorem 1), which
/// differs from E|s - score|^2 / 2 by a constant. The network must be made of operations that support second derivatives.
/// </summary>
public static class ScoreMatching
{
    /// <summary>Implicit score matching with the exact trace: one backward pass for each coordinate. For points.</summary>
    /// <param name="score">s, from [n, D] to [n, D].</param>
    /// <param name="x">Data, [n, D].</param>
    /// <returns>The loss, a scalar with history.</returns>
    /// <exception cref="ArgumentException">The data are not [n, D], or the score has another shape.</exception>
    public static Tensor Implicit(Func<Tensor, Tensor> score, Tensor x)
    {
        if (x.Rank != 2 || x.Count == 0)
            throw new ArgumentException($"implicit score matching needs points [n, D], not {x.Shape}");
        var leaf = x.Detach().RequireGrad();
        var s = Score(score, leaf);
        int n = x.Shape[0], size = x.Shape[1];
        Tensor loss = s.Square().Sum(1) * 0.5;
        for (int i = 0; i < size; i++)
        {
            var unit = new double[size];
            unit[i] = 1;
            var row = Autograd.Grad(s, [leaf], Tensor.From(unit, [1, size], x.Device).BroadcastTo([n, size]), retainGraph: true, createGraph: true)[0]!;
            loss += row.Slice(1, i, 1).Reshape(n);
        }
        return loss.Mean();
    }

    /// <summary>
    /// Sliced score matching (Song et al. 2019, equation 8, the form with reduced variance): the trace is estimated by v^T ds/dx v.
    /// </summary>
    /// <param name="score">s, of the shape of what it is given.</param>
    /// <param name="x">Data, [n, ...].</param>
    /// <param name="probe">v, of the shape of x: random signs or normals.</param>
    /// <returns>The loss, a scalar with history.</returns>
    /// <exception cref="ArgumentException">The probe or the score has another shape than the data.</exception>
    public static Tensor Sliced(Func<Tensor, Tensor> score, Tensor x, Tensor probe)
    {
        if (probe.Shape != x.Shape)
            throw new ArgumentException($"a probe has the shape of the data {x.Shape}, not {probe.Shape}");
        var leaf = x.Detach().RequireGrad();
        var s = Score(score, leaf);
        int n = x.Shape[0], size = x.Count / Math.Max(1, n);
        var product = Autograd.Grad(s, [leaf], probe, retainGraph: true, createGraph: true)[0]!;
        return (product * probe + s.Square() * 0.5).SumPerSample().Mean();
    }

    private static Tensor Score(Func<Tensor, Tensor> score, Tensor x)
    {
        var s = score(x);
        return s.Shape == x.Shape ? s : throw new ArgumentException($"a score has the shape of the data {x.Shape}, not {s.Shape}");
    }

    /// <summary>Probes of random signs, whose estimates of a trace scatter least (Hutchinson 1990), or of normals.</summary>
    public static Tensor Probe(Divergence kind, Shape shape, Generator generator, Backends.Backend? device = null) => kind switch
    {
        Divergence.Rademacher => Tensor.Rand(generator, shape, device: device).Ge(0.5) * 2 - 1,
        Divergence.Gaussian => Tensor.Randn(generator, shape, device),
        _ => throw new ArgumentException("an exact divergence has no probe"),
    };
}
