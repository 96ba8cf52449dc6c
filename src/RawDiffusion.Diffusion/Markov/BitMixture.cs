using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Markov;

/// <summary>
/// Finitely many strings of bits, each with a probability: data of which everything that a bit-flip diffusion learns is known exactly. With
/// all 2^n strings it is any distribution of n bits.
/// </summary>
/// <remarks>
/// ln q(x_t | x_0) = const + atanh(kept_t) x_t . x_0, so p(x_0 | x_t) is a softmax over the strings of their scalar products with the state,
/// sharper the more is kept: one step of attention, with the data as keys and values.
/// </remarks>
public sealed class BitMixture
{
    private readonly double[] _cumulative;
    private readonly Tensor _logWeights;

    /// <param name="strings">Different strings of -1 and 1, [k, n].</param>
    /// <param name="probabilities">Positive, k; they are scaled to sum to 1.</param>
    /// <exception cref="ArgumentException">The strings are no table of bits, or two are the same, or the probabilities do not fit them.</exception>
    public BitMixture(Tensor strings, ReadOnlySpan<double> probabilities)
    {
        if (strings.Rank != 2 || strings.Count == 0)
            throw new ArgumentException($"strings of bits are a table [k, n], not {strings.Shape}");
        if (probabilities.Length != strings.Shape[0])
            throw new ArgumentException($"{strings.Shape[0]} strings need as many probabilities, not {probabilities.Length}");
        Bernoulli.CheckBits(strings);
        var known = new Dictionary<string, int>();
        float[] bits = strings.ToArray();
        for (int i = 0, n = strings.Shape[1]; i < strings.Shape[0]; i++)
        {
            if (!known.TryAdd(string.Concat(bits.AsSpan(i * n, n).ToArray().Select(bit => bit > 0 ? '1' : '0')), i))
                throw new ArgumentException($"the strings of a mixture differ; string {i} is one that was there before");
        }
        double sum = 0;
        _cumulative = new double[probabilities.Length];
        for (int i = 0; i < probabilities.Length; i++)
        {
            if (!(probabilities[i] > 0 && double.IsFinite(probabilities[i])))
                throw new ArgumentException($"probabilities are positive; that of string {i} is {probabilities[i]}");
            _cumulative[i] = sum += probabilities[i];
        }
        Probabilities = [.. probabilities.ToArray().Select(p => p / sum)];
        Strings = strings;
        _logWeights = Tensor.From([.. Probabilities.Select(p => Math.Log(p))], [1, probabilities.Length], strings.Device);
    }

    /// <summary>
    /// The heartbeats of Sohl-Dickstein et al. 2015, section 3.1.2: a 1 every <paramref name="period"/> bits and -1 between, each phase equally
    /// likely. ln(period) nats are all there is to know.
    /// </summary>
    /// <exception cref="ArgumentException">The period is shorter than 1 or longer than the string.</exception>
    public static BitMixture Heartbeat(int length = 20, int period = 5, Backend? device = null)
    {
        if (!(period >= 1 && period <= length))
            throw new ArgumentException($"a period must be between 1 and the length {length} of the string, not {period}");
        var bits = new float[period * length];
        for (int i = 0; i < bits.Length; i++)
            bits[i] = i % length % period == i / length ? 1 : -1;
        return new BitMixture(Tensor.From(bits, [period, length], device), Enumerable.Repeat(1.0, period).ToArray());
    }

    /// <summary>All strings of n bits, the least significant first: string s has the bits of the number s.</summary>
    /// <param name="probabilities">2^n of them.</param>
    /// <exception cref="ArgumentException">Their number is no power of two, or one is not positive.</exception>
    public static BitMixture OfAll(ReadOnlySpan<double> probabilities, Backend? device = null)
    {
        int n = int.Log2(Math.Max(1, probabilities.Length));
        if (n < 1 || 1 << n != probabilities.Length)
            throw new ArgumentException($"n bits have 2^n strings; {probabilities.Length} probabilities are not as many for any n");
        var bits = new float[probabilities.Length * n];
        for (int i = 0; i < bits.Length; i++)
            bits[i] = (i / n >> i % n & 1) * 2 - 1;
        return new BitMixture(Tensor.From(bits, [probabilities.Length, n], device), probabilities);
    }

    /// <summary>[k, n].</summary>
    public Tensor Strings { get; }

    public IReadOnlyList<double> Probabilities { get; }

    /// <summary>Number of bits of a string, n.</summary>
    public int Length => Strings.Shape[1];

    /// <summary>In nats: no model's bound lies below it on average.</summary>
    public double Entropy => -Probabilities.Sum(p => p * Math.Log(p));

    /// <summary>Draws strings, [count, n].</summary>
    public Tensor Sample(int count, Generator generator)
    {
        double[] uniform = Tensor.Rand(generator, [count], device: Device.Reference).ToDoubleArray();
        var chosen = new int[count];
        for (int i = 0; i < count; i++)
        {
            int found = Array.BinarySearch(_cumulative, uniform[i] * _cumulative[^1]);
            // A number that is met exactly belongs to the next string.
            chosen[i] = Math.Min(found >= 0 ? found + 1 : ~found, _cumulative.Length - 1);
        }
        return Strings.IndexSelect(0, Tensor.From(chosen, [count], Strings.Device));
    }

    /// <summary>ln q(x_t) where <paramref name="kept"/> of the data is left, [m], nats: exact.</summary>
    /// <param name="x">[m, n].</param>
    /// <param name="kept">In [0, 1).</param>
    /// <exception cref="ArgumentException">The states have another length, or kept is not in [0, 1).</exception>
    public Tensor LogProbability(Tensor x, double kept) => kept is not (>= 0 and < 1)
        ? throw new ArgumentOutOfRangeException(nameof(kept), $"the share of the data that is kept must be in [0, 1), not {kept}")
        : (Overlaps(x) * Math.Atanh(kept) + _logWeights).LogSumExp([1]) + Length * (0.5 * Math.Log(1 - kept * kept) - Math.Log(2));

    /// <summary>The exact p(x_0 | x_t) of every bit: the model that a network is to become.</summary>
    public StepModel<Bernoulli> X0Model(BinomialChain chain)
    {
        var sharpness = new StepTable(chain.Steps, 1, t => Math.Atanh(chain.Schedule.Kept(t)), chain.Device);
        Tensor up = Strings.Gt(0), down = Strings.Lt(0);
        return (xt, t) =>
        {
            var responsibility = F.Softmax(Overlaps(xt) * sharpness.At(t, 2) + _logWeights);
            return new Bernoulli(responsibility.MatMul(up), responsibility.MatMul(down));
        };
    }

    /// <summary>How many of the states are each of the strings, and how many are none.</summary>
    /// <param name="x">[m, n].</param>
    public (int[] Each, int Others) Count(Tensor x)
    {
        float[] overlaps = Overlaps(x).ToArray();
        var each = new int[Probabilities.Count];
        for (int i = 0; i < overlaps.Length; i++)
            each[i % each.Length] += overlaps[i] == Length ? 1 : 0;
        return (each, x.Shape[0] - each.Sum());
    }

    /// <summary>Scalar products of states with all strings, [m, k].</summary>
    private Tensor Overlaps(Tensor x) => x.Rank == 2 && x.Shape[1] == Length
        ? x.MatMul(Strings, transposeB: true)
        : throw new ArgumentException($"states are strings of {Length} bits, [m, {Length}], not {x.Shape}");
}
