using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Editing;

/// <summary>What is known of samples that are to be filled in: their values, and a mask that says where they count.</summary>
public sealed class KnownPart
{
    /// <param name="x">The samples, [n, ...]. What they hold where they are not known is never looked at.</param>
    /// <param name="mask">1 where a sample is known, 0 where it is to be made. Any shape that broadcasts to that of x: [h, w, 1] is one mask for all images and channels.</param>
    /// <exception cref="ArgumentException">The mask does not fit the samples, or has other values.</exception>
    public KnownPart(Tensor x, Tensor mask)
    {
        if (x.Rank < 2 || x.Count == 0)
            throw new ArgumentException($"known samples are [n, ...], not {x.Shape}");
        bool fits = mask.Rank <= x.Rank;
        for (int axis = 1; fits && axis <= mask.Rank; axis++)
            fits = mask.Shape[^axis] == 1 || mask.Shape[^axis] == x.Shape[^axis];
        if (!fits)
            throw new ArgumentException($"a mask of shape {mask.Shape} does not fit samples of shape {x.Shape}");
        foreach (double value in mask.ToDoubleArray())
        {
            if (value is not (0 or 1))
                throw new ArgumentException($"a mask is 1 where a sample is known and 0 where it is not; this one has the value {value}");
        }
        Mask = mask.BroadcastTo(x.Shape);
        // A product with the mask would carry over what is not a number.
        X = F.Where(Mask, x, Tensor.Zeros(x.Shape, x.Device));
    }

    /// <summary>[n, ...], 0 where it is not known.</summary>
    public Tensor X { get; }

    /// <summary>0 and 1, of the shape of <see cref="X"/>.</summary>
    public Tensor Mask { get; }

    /// <summary>x with what is known put in, to the bit.</summary>
    /// <exception cref="ArgumentException">x has another shape.</exception>
    public Tensor Fill(Tensor x)
    {
        Expect(x);
        return F.Where(Mask, X, x);
    }

    /// <summary>
    /// A state at time t with the known part replaced by a fresh draw of q(x_t | x_0). Time 0 is the data: there it is put in as it is,
    /// also by processes that never are without noise.
    /// </summary>
    internal Tensor Fill(Tensor state, ForwardProcess process, double t, NoiseSource noise) =>
        t == 0 ? Fill(state) : F.Where(Mask, noise.Add(X * process.Alpha(t), process.Sigma(t)), state);

    internal void Expect(Tensor x)
    {
        if (x.Shape != X.Shape)
            throw new ArgumentException($"a state of shape {x.Shape} does not fit known samples of shape {X.Shape}");
    }
}
