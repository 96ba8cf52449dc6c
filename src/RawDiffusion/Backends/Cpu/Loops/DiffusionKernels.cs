using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// The noise-schedule operations, each one pass over memory: noise is made in batches of <see cref="NormalKernels.Batch"/> in
/// first-level cache and used there. A batch at the end that is not whole is computed whole in scratch memory, so an element's
/// bits do not depend on its place.
/// </summary>
internal static unsafe class DiffusionKernels
{
    private const int Batch = NormalKernels.Batch;

    /// <summary>x_t = alpha x_0 + sigma noise, see <see cref="Backend.ForwardDiffusion"/>.</summary>
    internal readonly struct ForwardBody<V>(int size, PhiloxState state, float* x0, float* alpha, float* sigma, float* xt, float* noise) : IRangeBody
        where V : struct, ISimd<V>
    {
        [SkipLocalsInit]
        public void Run(int start, int end, int worker)
        {
            float* a = stackalloc float[Batch], s = stackalloc float[Batch];
            float* x = stackalloc float[Batch], y = stackalloc float[Batch], eps = stackalloc float[Batch];
            int filled = -1;
            for (int at = start; at < end; at += Batch)
            {
                int count = Math.Min(Batch, end - at);
                filled = Coefficients(at, count, filled, a, s);
                if (count == Batch)
                {
                    NormalKernels.BoxMuller<V>(state, (ulong)at / 4, noise + at);
                    Combine(a, s, x0 + at, noise + at, xt + at);
                    continue;
                }
                Unsafe.CopyBlock(x, x0 + at, (uint)count * sizeof(float));
                NormalKernels.BoxMuller<V>(state, (ulong)at / 4, eps);
                Combine(a, s, x, eps, y);
                Unsafe.CopyBlock(noise + at, eps, (uint)count * sizeof(float));
                Unsafe.CopyBlock(xt + at, y, (uint)count * sizeof(float));
            }
        }

        /// <summary>
        /// Writes the coefficients of each element of a batch; samples of any size may begin anywhere in it. Nothing to do when
        /// the whole batch before belonged to the sample that this one lies in.
        /// </summary>
        /// <returns>The sample that the whole batch belongs to, or -1.</returns>
        private int Coefficients(int at, int count, int filled, float* a, float* s)
        {
            int sample = at / size;
            bool whole = at + count <= (long)(sample + 1) * size;
            if (whole && sample == filled)
                return filled;
            for (int i = 0; i < count; sample++)
            {
                int same = (int)Math.Min(count, (long)(sample + 1) * size - at);
                float sampleAlpha = alpha[sample], sampleSigma = sigma[sample];
                for (; i < same; i++)
                {
                    a[i] = sampleAlpha;
                    s[i] = sampleSigma;
                }
            }
            return whole ? at / size : -1;
        }

        private static void Combine(float* a, float* s, float* x, float* eps, float* y)
        {
            for (int i = 0; i < Batch; i += V.Count)
                V.Store(V.MultiplyAdd(V.Load(s + i), V.Load(eps + i), V.Load(a + i) * V.Load(x + i)), y + i);
        }
    }

    /// <summary>One step of a sampler, see <see cref="DiffusionStepCoefficients"/>. y may be x.</summary>
    internal readonly struct StepBody<V>(DiffusionStepCoefficients c, PhiloxState state, float* x, float* eps, float* y) : IRangeBody
        where V : struct, ISimd<V>
    {
        [SkipLocalsInit]
        public void Run(int start, int end, int worker)
        {
            float* noise = stackalloc float[Batch], scratchX = stackalloc float[Batch], scratchEps = stackalloc float[Batch];
            for (int at = start; at < end; at += Batch)
            {
                int count = Math.Min(Batch, end - at);
                if (c.NoiseScale != 0)
                    NormalKernels.BoxMuller<V>(state, (ulong)at / 4, noise);
                if (count == Batch)
                {
                    Combine(x + at, eps + at, noise, y + at);
                    continue;
                }
                Unsafe.CopyBlock(scratchX, x + at, (uint)count * sizeof(float));
                Unsafe.CopyBlock(scratchEps, eps + at, (uint)count * sizeof(float));
                Combine(scratchX, scratchEps, noise, scratchX);
                Unsafe.CopyBlock(y + at, scratchX, (uint)count * sizeof(float));
            }
        }

        private void Combine(float* xt, float* e, float* noise, float* to)
        {
            V inverseAlpha = V.Create((float)c.InverseAlpha), sigmaOverAlpha = V.Create((float)-c.SigmaOverAlpha);
            V clip = V.Create((float)c.ClipX0), negativeClip = V.Create((float)-c.ClipX0);
            V forX = V.Create((float)c.CoefficientX), forX0 = V.Create((float)c.CoefficientX0);
            V forEps = V.Create((float)c.CoefficientEps), forNoise = V.Create((float)c.NoiseScale);
            bool noisy = c.NoiseScale != 0;
            for (int i = 0; i < Batch; i += V.Count)
            {
                V vx = V.Load(xt + i), ve = V.Load(e + i);
                var x0 = V.MultiplyAdd(sigmaOverAlpha, ve, inverseAlpha * vx);
                x0 = V.Min(V.Max(x0, negativeClip), clip);
                var result = V.MultiplyAdd(forX, vx, V.MultiplyAdd(forX0, x0, forEps * ve));
                if (noisy)
                    result = V.MultiplyAdd(forNoise, V.Load(noise + i), result);
                V.Store(result, to + i);
            }
        }
    }

    /// <summary>Sums of (x - y)^2 over pieces of <paramref name="grain"/> elements of each sample: sums[sample, piece].</summary>
    internal readonly struct SquaredErrorBody<V>(int size, int pieces, int grain, float* x, float* y, float* sums) : IRangeBody
        where V : struct, ISimd<V>
    {
        public void Run(int start, int end, int worker)
        {
            for (int item = start; item < end; item++)
            {
                int first = item % pieces * grain;
                long at = (long)(item / pieces) * size + first;
                sums[item] = Sum(x + at, y + at, Math.Min(grain, size - first));
            }
        }

        private static float Sum(float* a, float* b, int count)
        {
            V sum0 = V.Create(0), sum1 = sum0, sum2 = sum0, sum3 = sum0;
            int i = 0;
            for (; i <= count - 4 * V.Count; i += 4 * V.Count)
            {
                var d0 = V.Load(a + i) - V.Load(b + i);
                var d1 = V.Load(a + i + V.Count) - V.Load(b + i + V.Count);
                var d2 = V.Load(a + i + 2 * V.Count) - V.Load(b + i + 2 * V.Count);
                var d3 = V.Load(a + i + 3 * V.Count) - V.Load(b + i + 3 * V.Count);
                sum0 = V.MultiplyAdd(d0, d0, sum0);
                sum1 = V.MultiplyAdd(d1, d1, sum1);
                sum2 = V.MultiplyAdd(d2, d2, sum2);
                sum3 = V.MultiplyAdd(d3, d3, sum3);
            }
            float rest = 0;
            for (; i < count; i++)
                rest += (a[i] - b[i]) * (a[i] - b[i]);
            return V.Sum(sum0 + sum1 + (sum2 + sum3)) + rest;
        }
    }

    /// <summary>gx = gLosses weights 2 (x - y) / size, see <see cref="Backend.WeightedMseGrad"/>.</summary>
    internal readonly struct SquaredErrorGradBody<V>(
        int size, int pieces, int grain, float* x, float* y, float* weights, float* gLosses, float* gx) : IRangeBody where V : struct, ISimd<V>
    {
        public void Run(int start, int end, int worker)
        {
            for (int item = start; item < end; item++)
            {
                int sample = item / pieces, first = item % pieces * grain;
                long at = (long)sample * size + first;
                float scale = (float)((double)gLosses[sample] * weights[sample] * 2 / size);
                float* a = x + at, b = y + at, to = gx + at;
                int count = Math.Min(grain, size - first), i = 0;
                var factor = V.Create(scale);
                for (; i <= count - V.Count; i += V.Count)
                    V.Store((V.Load(a + i) - V.Load(b + i)) * factor, to + i);
                for (; i < count; i++)
                    to[i] = (a[i] - b[i]) * scale;
            }
        }
    }

    /// <summary>
    /// Sines and cosines of t times frequencies that are given in turns as high + low, see <see cref="Backend.TimeEmbedding"/>.
    /// The whole turns of t * frequency are taken off before anything is rounded, so a time of 1000 (or 1e6) costs no digits.
    /// </summary>
    internal readonly struct TimeEmbeddingBody<V>(TimeEmbeddingGeometry g, float* high, float* low, float* t, float* y) : IRangeBody
        where V : struct, ISimd<V>
    {
        public void Run(int start, int end, int worker)
        {
            int half = g.Dim / 2;
            for (int n = start; n < end; n++)
            {
                float* row = y + (long)n * g.Dim;
                float* sines = g.FlipSinToCos ? row + half : row, cosines = g.FlipSinToCos ? row : row + half;
                var time = V.Create(t[n]);
                int i = 0;
                for (; i <= half - V.Count; i += V.Count)
                    Wave(time, V.Load(high + i), V.Load(low + i), sines + i, cosines + i);
                if (i < half)
                    Rest(time, i, half - i, sines, cosines);
                if ((g.Dim & 1) != 0)
                    row[g.Dim - 1] = 0;
            }
        }

        private void Rest(V time, int i, int count, float* sines, float* cosines)
        {
            float* scratch = stackalloc float[4 * V.Count];
            float* restHigh = scratch, restLow = scratch + V.Count, sin = scratch + 2 * V.Count, cos = scratch + 3 * V.Count;
            uint bytes = (uint)count * sizeof(float);
            Unsafe.CopyBlock(restHigh, high + i, bytes);
            Unsafe.CopyBlock(restLow, low + i, bytes);
            Wave(time, V.Load(restHigh), V.Load(restLow), sin, cos);
            Unsafe.CopyBlock(sines + i, sin, bytes);
            Unsafe.CopyBlock(cosines + i, cos, bytes);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Wave(V time, V frequencyHigh, V frequencyLow, float* sines, float* cosines)
        {
            var product = time * frequencyHigh;
            var error = V.MultiplyAdd(time, frequencyHigh, -product);
            var turn = product - V.Floor(product) + V.MultiplyAdd(time, frequencyLow, error);
            NormalKernels.SinCosOfTurns(turn, out var sin, out var cos);
            V.Store(sin, sines);
            V.Store(cos, cosines);
        }
    }
}
