using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <summary>Elements per piece of parallel work: a multiple of <see cref="NormalKernels.Batch"/>.</summary>
    private const int RandomGrain = 32 * NormalKernels.Batch;

    public override void Uniform(PhiloxState state, double low, double high, Storage y)
    {
        if (VectorBits == 512)
            Workers.ForRange(y.Length, RandomGrain, new UniformBody<Simd512>(state, (float)low, (float)(high - low), F(y)));
        else if (VectorBits == 256)
            Workers.ForRange(y.Length, RandomGrain, new UniformBody<Simd256>(state, (float)low, (float)(high - low), F(y)));
        else
            Workers.ForRange(y.Length, RandomGrain, new UniformBody<Simd128>(state, (float)low, (float)(high - low), F(y)));
    }

    public override void Normal(NormalMethod method, PhiloxState state, Storage y)
    {
        if (VectorBits == 512)
            Workers.ForRange(y.Length, RandomGrain, new NormalBody<Simd512>(method, state, F(y)));
        else if (VectorBits == 256)
            Workers.ForRange(y.Length, RandomGrain, new NormalBody<Simd256>(method, state, F(y)));
        else
            Workers.ForRange(y.Length, RandomGrain, new NormalBody<Simd128>(method, state, F(y)));
    }

    public override void Integers(PhiloxState state, int low, int high, Storage y) =>
        Workers.ForRange(y.Length, RandomGrain, new IntegersBody(state, low, (uint)high - (uint)low, I(y)));

    public override void Dropout(PhiloxState state, double p, Storage x, Storage y)
    {
        // u >= p is r >> 8 >= p 2^24; the right side rounded up to a whole number decides alike, and is exact in float32.
        float threshold = (float)Math.Ceiling(p * (1 << 24));
        float scale = (float)(1 / (1 - p));
        if (VectorBits == 512)
            Workers.ForRange(y.Length, RandomGrain, new DropoutBody<Simd512>(state, threshold, scale, F(x), F(y)));
        else if (VectorBits == 256)
            Workers.ForRange(y.Length, RandomGrain, new DropoutBody<Simd256>(state, threshold, scale, F(x), F(y)));
        else
            Workers.ForRange(y.Length, RandomGrain, new DropoutBody<Simd128>(state, threshold, scale, F(x), F(y)));
    }

    // Each body works through batches; the last one, if it is not whole, is made in scratch memory and copied.

    private readonly struct UniformBody<V>(PhiloxState state, float low, float width, float* y) : IRangeBody where V : struct, ISimd<V>
    {
        [SkipLocalsInit]
        public void Run(int start, int end, int worker)
        {
            const int Batch = NormalKernels.Batch;
            uint* r = stackalloc uint[Batch];
            float* scratch = stackalloc float[Batch];
            var unit = V.Create(width / (1 << 24));
            for (int at = start; at < end; at += Batch)
            {
                PhiloxSimd.Blocks(state, (ulong)at / 4, Batch / 4, r);
                int count = Math.Min(Batch, end - at);
                float* to = count == Batch ? y + at : scratch;
                for (int i = 0; i < Batch; i += V.Count)
                    V.Store(V.MultiplyAdd(V.LoadHigh24(r + i), unit, V.Create(low)), to + i);
                if (count < Batch)
                    Unsafe.CopyBlock(y + at, scratch, (uint)count * sizeof(float));
            }
        }
    }

    private readonly struct NormalBody<V>(NormalMethod method, PhiloxState state, float* y) : IRangeBody where V : struct, ISimd<V>
    {
        [SkipLocalsInit]
        public void Run(int start, int end, int worker)
        {
            const int Batch = NormalKernels.Batch;
            float* scratch = stackalloc float[Batch];
            for (int at = start; at < end; at += Batch)
            {
                int count = Math.Min(Batch, end - at);
                float* to = count == Batch ? y + at : scratch;
                if (method == NormalMethod.BoxMuller)
                    NormalKernels.BoxMuller<V>(state, (ulong)at / 4, to);
                else
                    NormalKernels.InverseCdf<V>(state, (ulong)at / 4, to);
                if (count < Batch)
                    Unsafe.CopyBlock(y + at, scratch, (uint)count * sizeof(float));
            }
        }
    }

    private readonly struct IntegersBody(PhiloxState state, int low, uint range, int* y) : IRangeBody
    {
        [SkipLocalsInit]
        public void Run(int start, int end, int worker)
        {
            const int Batch = NormalKernels.Batch;
            uint* r = stackalloc uint[Batch];
            uint threshold = (0u - range) % range;
            for (int at = start; at < end; at += Batch)
            {
                PhiloxSimd.Blocks(state, (ulong)at / 4, Batch / 4, r);
                int count = Math.Min(Batch, end - at);
                for (int i = 0; i < count; i++)
                {
                    ulong product = (ulong)r[i] * range;
                    // The redraws of a rejected integer are rare: at most every second element, mostly none at all.
                    uint integer = (uint)product < threshold ? Philox.Integer(state, at + i, range) : (uint)(product >> 32);
                    y[at + i] = (int)((uint)low + integer);
                }
            }
        }
    }

    private readonly struct DropoutBody<V>(PhiloxState state, float threshold, float scale, float* x, float* y) : IRangeBody where V : struct, ISimd<V>
    {
        [SkipLocalsInit]
        public void Run(int start, int end, int worker)
        {
            const int Batch = NormalKernels.Batch;
            uint* r = stackalloc uint[Batch];
            float* scratch = stackalloc float[Batch];
            V limit = V.Create(threshold), factor = V.Create(scale), zero = V.Create(0);
            for (int at = start; at < end; at += Batch)
            {
                PhiloxSimd.Blocks(state, (ulong)at / 4, Batch / 4, r);
                int count = Math.Min(Batch, end - at);
                float* from = x + at, to = y + at;
                if (count < Batch)
                {
                    Unsafe.CopyBlock(scratch, from, (uint)count * sizeof(float));
                    from = to = scratch;
                }
                for (int i = 0; i < Batch; i += V.Count)
                    V.Store(V.Select(V.LessThan(V.LoadHigh24(r + i), limit), zero, V.Load(from + i) * factor), to + i);
                if (count < Batch)
                    Unsafe.CopyBlock(y + at, scratch, (uint)count * sizeof(float));
            }
        }
    }
}
