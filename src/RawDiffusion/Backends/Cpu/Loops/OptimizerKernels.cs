using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// The optimizers' passes over flat arenas: every array is read and written once, so they run at memory bandwidth. Running
/// averages are written a += (1 - decay) (x - a): with both decay and 1 - decay rounded to float32, their sum would miss 1 by
/// 3e-8, which at decay 0.9999 biases the average by 3e-4.
/// </summary>
internal static unsafe class OptimizerKernels
{
    /// <summary>Elements a worker takes at once: some microseconds of work.</summary>
    private const int Grain = 8192;

    public static void AdamW<V>(in AdamWStep s, int count, float* p, float* g, float* m, float* v, float clip)
        where V : struct, ISimd<V> =>
        Workers.ForRange(count, Grain, new AdamWBody<V>(s, p, g, m, v, clip));

    public static void Sgd<V>(in SgdStep s, int count, float* p, float* g, float* b, float clip)
        where V : struct, ISimd<V> =>
        Workers.ForRange(count, Grain, new SgdBody<V>(s, p, g, b, clip));

    public static void Ema<V>(double decay, int count, float* p, float* average)
        where V : struct, ISimd<V> =>
        Workers.ForRange(count, Grain, new EmaBody<V>((float)(1 - decay), p, average));

    public static void Accumulate<V>(int count, float* x, float* y)
        where V : struct, ISimd<V> =>
        Workers.ForRange(count, Grain, new AccumulateBody<V>(x, y));

    private readonly struct AdamWBody<V>(AdamWStep s, float* p, float* g, float* m, float* v, float clip) : IRangeBody
        where V : struct, ISimd<V>
    {
        // Constants of the step; the bias corrections are folded into the step size and into the root.
        private readonly float _keep = (float)(s.DecoupledWeightDecay ? 1 - s.LearningRate * s.WeightDecay : 1);
        private readonly float _l2 = (float)(s.DecoupledWeightDecay ? 0 : s.WeightDecay);
        private readonly float _rate1 = (float)(1 - s.Beta1), _rate2 = (float)(1 - s.Beta2);
        private readonly float _stepSize = (float)(s.LearningRate / s.BiasCorrection1);
        private readonly float _rootScale = (float)(1 / Math.Sqrt(s.BiasCorrection2));
        private readonly float _epsilon = (float)s.Epsilon;

        public void Run(int start, int end, int worker)
        {
            int i = start;
            for (; i <= end - V.Count; i += V.Count)
                Step(p + i, g + i, m + i, v + i);
            if (i == end)
                return;
            // The rest goes through a buffer, so that an element's bits do not depend on where it lies.
            int rest = end - i;
            float* t = stackalloc float[4 * V.Count];
            new Span<float>(t, 4 * V.Count).Clear();
            float *tp = t, tg = t + V.Count, tm = t + 2 * V.Count, tv = t + 3 * V.Count;
            Copy(p + i, tp, rest);
            Copy(g + i, tg, rest);
            Copy(m + i, tm, rest);
            Copy(v + i, tv, rest);
            Step(tp, tg, tm, tv);
            Copy(tp, p + i, rest);
            Copy(tm, m + i, rest);
            Copy(tv, v + i, rest);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Step(float* p, float* g, float* m, float* v)
        {
            V x = V.Load(p), m1 = V.Load(m), m2 = V.Load(v);
            V gradient = V.MultiplyAdd(V.Create(_l2), x, V.Create(clip) * V.Load(g));
            m1 = V.MultiplyAdd(V.Create(_rate1), gradient - m1, m1);
            m2 = V.MultiplyAdd(V.Create(_rate2), gradient * gradient - m2, m2);
            V root = V.MultiplyAdd(V.Sqrt(m2), V.Create(_rootScale), V.Create(_epsilon));
            V.Store(m1, m);
            V.Store(m2, v);
            V.Store(x * V.Create(_keep) - V.Create(_stepSize) * m1 / root, p);
        }
    }

    private readonly struct SgdBody<V>(SgdStep s, float* p, float* g, float* b, float clip) : IRangeBody
        where V : struct, ISimd<V>
    {
        private readonly float _momentum = (float)s.Momentum, _decay = (float)s.WeightDecay, _rate = (float)s.LearningRate;
        private readonly bool _useBuffer = s.Momentum != 0, _first = s.FirstStep, _nesterov = s.Nesterov;

        public void Run(int start, int end, int worker)
        {
            int i = start;
            for (; i <= end - V.Count; i += V.Count)
                Step(p + i, g + i, b + i);
            if (i == end)
                return;
            int rest = end - i;
            float* t = stackalloc float[3 * V.Count];
            new Span<float>(t, 3 * V.Count).Clear();
            float *tp = t, tg = t + V.Count, tb = t + 2 * V.Count;
            Copy(p + i, tp, rest);
            Copy(g + i, tg, rest);
            Copy(b + i, tb, rest);
            Step(tp, tg, tb);
            Copy(tp, p + i, rest);
            if (_useBuffer)
                Copy(tb, b + i, rest);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Step(float* p, float* g, float* b)
        {
            V x = V.Load(p);
            V change = V.MultiplyAdd(V.Create(_decay), x, V.Create(clip) * V.Load(g));
            if (_useBuffer)
            {
                V momentum = V.Create(_momentum);
                V buffer = _first ? change : V.MultiplyAdd(momentum, V.Load(b), change);
                V.Store(buffer, b);
                change = _nesterov ? V.MultiplyAdd(momentum, buffer, change) : buffer;
            }
            V.Store(V.MultiplyAdd(V.Create(-_rate), change, x), p);
        }
    }

    private readonly struct EmaBody<V>(float rate, float* p, float* average) : IRangeBody
        where V : struct, ISimd<V>
    {
        public void Run(int start, int end, int worker)
        {
            int i = start;
            for (; i <= end - V.Count; i += V.Count)
                Step(p + i, average + i);
            if (i == end)
                return;
            int rest = end - i;
            float* t = stackalloc float[2 * V.Count];
            new Span<float>(t, 2 * V.Count).Clear();
            Copy(p + i, t, rest);
            Copy(average + i, t + V.Count, rest);
            Step(t, t + V.Count);
            Copy(t + V.Count, average + i, rest);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Step(float* p, float* average)
        {
            V a = V.Load(average);
            V.Store(V.MultiplyAdd(V.Create(rate), V.Load(p) - a, a), average);
        }
    }

    private readonly struct AccumulateBody<V>(float* x, float* y) : IRangeBody
        where V : struct, ISimd<V>
    {
        public void Run(int start, int end, int worker)
        {
            int i = start;
            for (; i <= end - V.Count; i += V.Count)
                V.Store(V.Load(x + i) + V.Load(y + i), y + i);
            for (; i < end; i++)
                y[i] += x[i];
        }
    }

    private static void Copy(float* from, float* to, int count)
    {
        for (int i = 0; i < count; i++)
            to[i] = from[i];
    }
}
