using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Matrix products with a short side, where most of a register tile would be padding and packing would cost as much as the
/// product: they stream the long operand once. Which loop is used depends on the shape alone.
/// </summary>
internal static unsafe class GemmThin
{
    /// <summary>The longest K of <see cref="ShortSum"/>.</summary>
    private const int MaxSum = 4;

    /// <summary>The most columns (or rows) of the short side of <see cref="Dots"/>.</summary>
    private const int MaxDots = 12;

    /// <summary>The shortest K for which adding up the lanes of a dot product is worth it.</summary>
    private const int MinDotLength = 16;

    /// <summary>The most rows (or columns) of the short side of <see cref="Outers"/>.</summary>
    private const int MaxOuters = 4;

    /// <summary>Multiply-adds of one item: some microseconds.</summary>
    private const long Grain = 64 * 1024;

    private static readonly WorkerScratch s_scratch = new();

    /// <summary>Computes a thin product and returns true, or leaves any other alone.</summary>
    public static bool TryMultiply<V>(in GemmProduct p) where V : struct, ISimd<V>
    {
        if (p.K is >= 1 and <= MaxSum && p.N >= V.Count)
        {
            int rows = Grained((long)p.N * 4);
            Workers.For(Parts(p.M, rows), new ShortSumBody<V>(p, rows));
            return true;
        }
        bool dots = p.K >= MinDotLength;
        if (p.N <= MaxDots && dots && p.AStep == 1)
        {
            var sides = new Sides { Long = p.A, LongStep = p.ARow, LongCount = p.M, Short = p.B, ShortK = p.BStep, ShortLane = p.BColumn, ShortCount = p.N, CLong = p.N, CShort = 1 };
            int rows = Math.Max(32, RoundUp(Grained((long)p.N * p.K), 4));
            Workers.For(Parts(p.M, rows), new DotsBody<V>(p, sides, rows, biasOnLong: false));
            return true;
        }
        if (p.M <= MaxDots && dots && p.BStep == 1)
        {
            var sides = new Sides { Long = p.B, LongStep = p.BColumn, LongCount = p.N, Short = p.A, ShortK = p.AStep, ShortLane = p.ARow, ShortCount = p.M, CLong = 1, CShort = p.N };
            int rows = Math.Max(32, RoundUp(Grained((long)p.M * p.K), 4));
            Workers.For(Parts(p.N, rows), new DotsBody<V>(p, sides, rows, biasOnLong: true));
            return true;
        }
        if (p.M <= MaxOuters && p.BColumn == 1 && p.N >= V.Count)
        {
            var sides = new Sides { Long = p.B, LongStep = p.BStep, LongCount = p.N, Short = p.A, ShortK = p.AStep, ShortLane = p.ARow, ShortCount = p.M, CLong = 1, CShort = p.N };
            Workers.For(Parts(p.N, OutersBody<V>.Width), new OutersBody<V>(p, sides, biasOnLong: true));
            return true;
        }
        if (p.N <= MaxOuters && p.ARow == 1 && p.M >= V.Count)
        {
            var sides = new Sides { Long = p.A, LongStep = p.AStep, LongCount = p.M, Short = p.B, ShortK = p.BStep, ShortLane = p.BColumn, ShortCount = p.N, CLong = p.N, CShort = 1 };
            Workers.For(Parts(p.M, OutersBody<V>.Width), new OutersBody<V>(p, sides, biasOnLong: false));
            return true;
        }
        return false;
    }

    /// <summary>
    /// The operands as a long and a short side, so that a thin A and a thin B are the same case. Which of the long side's axes is
    /// contiguous is what tells <see cref="DotsBody{V}"/> (k) from <see cref="OutersBody{V}"/> (its lanes).
    /// </summary>
    private struct Sides
    {
        public float* Long, Short;

        /// <summary>Elements between lines of the long side: from lane to lane for dot products, from k to k + 1 for outer products.</summary>
        public nint LongStep;

        public nint ShortK, ShortLane;
        public int LongCount, ShortCount;

        /// <summary>Elements of C from one lane of a side to the next.</summary>
        public nint CLong, CShort;
    }

    private static int Grained(long multiplyAdds) => (int)Math.Clamp(Grain / Math.Max(1, multiplyAdds), 1, 1 << 20);

    private static int Parts(int extent, int size) => (extent + size - 1) / size;

    private static int RoundUp(int x, int multiple) => Parts(x, multiple) * multiple;

    /// <summary>K of at most four: every row of C is the bias plus a few multiples of rows of B; what limits it is writing C.</summary>
    private readonly struct ShortSumBody<V>(GemmProduct p, int rowsPerItem) : IParallelBody where V : struct, ISimd<V>
    {
        public void Run(int index, int worker)
        {
            int begin = index * rowsPerItem, end = Math.Min(p.M, begin + rowsPerItem);
            float* b = p.B;
            nint bStep = p.BStep;
            if (p.BColumn != 1)
            {
                bStep = p.N;
                b = s_scratch.Get<float>(worker, (nint)p.K * p.N);
                for (int k = 0; k < p.K; k++)
                {
                    for (int n = 0; n < p.N; n++)
                        b[k * bStep + n] = p.B[k * p.BStep + n * p.BColumn];
                }
            }
            if (p.K == 1)
                Rows<One>(begin, end, b, bStep);
            else if (p.K == 2)
                Rows<Two>(begin, end, b, bStep);
            else if (p.K == 3)
                Rows<Three>(begin, end, b, bStep);
            else
                Rows<Four>(begin, end, b, bStep);
        }

        private void Rows<TK>(int begin, int end, float* b0, nint bStep) where TK : struct, IConstant
        {
            float* b1 = b0 + (TK.Value > 1 ? bStep : 0), b2 = b0 + (TK.Value > 2 ? 2 * bStep : 0), b3 = b0 + (TK.Value > 3 ? 3 * bStep : 0);
            int whole = p.N - p.N % V.Count;
            for (int m = begin; m < end; m += 2)
            {
                // Two rows at a time, so that a vector of B is read once for both; the last row may be done twice.
                int next = Math.Min(m + 1, end - 1);
                float* x = p.A + m * p.ARow, y = p.A + next * p.ARow, c = p.C + (nint)m * p.N, d = p.C + (nint)next * p.N;
                float x0 = x[0], x1 = TK.Value > 1 ? x[p.AStep] : 0, x2 = TK.Value > 2 ? x[2 * p.AStep] : 0, x3 = TK.Value > 3 ? x[3 * p.AStep] : 0;
                float y0 = y[0], y1 = TK.Value > 1 ? y[p.AStep] : 0, y2 = TK.Value > 2 ? y[2 * p.AStep] : 0, y3 = TK.Value > 3 ? y[3 * p.AStep] : 0;
                V vx0 = V.Create(x0), vx1 = V.Create(x1), vx2 = V.Create(x2), vx3 = V.Create(x3);
                V vy0 = V.Create(y0), vy1 = V.Create(y1), vy2 = V.Create(y2), vy3 = V.Create(y3);
                for (int n = 0; n < whole; n += V.Count)
                {
                    V v = V.Load(b0 + n), sum = p.Bias != null ? V.Load(p.Bias + n) : default;
                    V sx = V.MultiplyAdd(vx0, v, sum), sy = V.MultiplyAdd(vy0, v, sum);
                    if (TK.Value > 1)
                    {
                        v = V.Load(b1 + n);
                        sx = V.MultiplyAdd(vx1, v, sx);
                        sy = V.MultiplyAdd(vy1, v, sy);
                    }
                    if (TK.Value > 2)
                    {
                        v = V.Load(b2 + n);
                        sx = V.MultiplyAdd(vx2, v, sx);
                        sy = V.MultiplyAdd(vy2, v, sy);
                    }
                    if (TK.Value > 3)
                    {
                        v = V.Load(b3 + n);
                        sx = V.MultiplyAdd(vx3, v, sx);
                        sy = V.MultiplyAdd(vy3, v, sy);
                    }
                    V.Store(sx, c + n);
                    V.Store(sy, d + n);
                }
                for (int n = whole; n < p.N; n++)
                {
                    float bias = p.Bias != null ? p.Bias[n] : 0;
                    float sx = bias + x0 * b0[n], sy = bias + y0 * b0[n];
                    if (TK.Value > 1)
                    {
                        sx += x1 * b1[n];
                        sy += y1 * b1[n];
                    }
                    if (TK.Value > 2)
                    {
                        sx += x2 * b2[n];
                        sy += y2 * b2[n];
                    }
                    if (TK.Value > 3)
                    {
                        sx += x3 * b3[n];
                        sy += y3 * b3[n];
                    }
                    c[n] = sx;
                    d[n] = sy;
                }
            }
        }
    }

    /// <summary>
    /// The long side has k contiguous: dot products of its rows with the few of the short side, 4 x 2 at a time, in the lanes of
    /// eight accumulators.
    /// </summary>
    private readonly struct DotsBody<V>(GemmProduct p, Sides sides, int rowsPerItem, bool biasOnLong) : IParallelBody where V : struct, ISimd<V>
    {
        [SkipLocalsInit]
        public void Run(int index, int worker)
        {
            int begin = index * rowsPerItem, end = Math.Min(sides.LongCount, begin + rowsPerItem);
            int whole = p.K - p.K % V.Count;
            // The short side with k contiguous, and the tails of k with zeros up to a whole vector.
            float* shortTails = s_scratch.Get<float>(worker, sides.ShortCount * ((nint)p.K + V.Count)), shorts = sides.Short;
            nint shortStep = sides.ShortLane;
            if (sides.ShortK != 1)
            {
                shorts = shortTails + sides.ShortCount * V.Count;
                shortStep = p.K;
                for (int k = 0; k < p.K; k++)
                {
                    for (int i = 0; i < sides.ShortCount; i++)
                        shorts[i * shortStep + k] = sides.Short[k * sides.ShortK + i * sides.ShortLane];
                }
            }
            for (int i = 0; i < sides.ShortCount; i++)
            {
                for (int j = 0; j < V.Count; j++)
                    shortTails[i * V.Count + j] = whole + j < p.K ? shorts[i * shortStep + whole + j] : 0;
            }
            float* tails = stackalloc float[4 * 16];
            new Span<float>(tails, 4 * 16).Clear();
            for (int row = begin; row < end; row += 4)
            {
                float* r0 = sides.Long + row * sides.LongStep;
                float* r1 = sides.Long + Math.Min(row + 1, end - 1) * sides.LongStep;
                float* r2 = sides.Long + Math.Min(row + 2, end - 1) * sides.LongStep;
                float* r3 = sides.Long + Math.Min(row + 3, end - 1) * sides.LongStep;
                for (int k = whole; k < p.K; k++)
                {
                    tails[k - whole] = r0[k];
                    tails[16 + k - whole] = r1[k];
                    tails[32 + k - whole] = r2[k];
                    tails[48 + k - whole] = r3[k];
                }
                for (int i = 0; i < sides.ShortCount; i += 2)
                {
                    int other = Math.Min(i + 1, sides.ShortCount - 1);
                    float* s0 = shorts + i * shortStep, s1 = shorts + other * shortStep;
                    V d00 = default, d01 = default, d10 = default, d11 = default, d20 = default, d21 = default, d30 = default, d31 = default;
                    for (nint k = 0; k < whole; k += V.Count)
                    {
                        V x0 = V.Load(s0 + k), x1 = V.Load(s1 + k), y = V.Load(r0 + k);
                        d00 = V.MultiplyAdd(y, x0, d00);
                        d01 = V.MultiplyAdd(y, x1, d01);
                        y = V.Load(r1 + k);
                        d10 = V.MultiplyAdd(y, x0, d10);
                        d11 = V.MultiplyAdd(y, x1, d11);
                        y = V.Load(r2 + k);
                        d20 = V.MultiplyAdd(y, x0, d20);
                        d21 = V.MultiplyAdd(y, x1, d21);
                        y = V.Load(r3 + k);
                        d30 = V.MultiplyAdd(y, x0, d30);
                        d31 = V.MultiplyAdd(y, x1, d31);
                    }
                    if (whole < p.K)
                    {
                        V x0 = V.Load(shortTails + i * V.Count), x1 = V.Load(shortTails + other * V.Count);
                        d00 = V.MultiplyAdd(V.Load(tails), x0, d00);
                        d01 = V.MultiplyAdd(V.Load(tails), x1, d01);
                        d10 = V.MultiplyAdd(V.Load(tails + 16), x0, d10);
                        d11 = V.MultiplyAdd(V.Load(tails + 16), x1, d11);
                        d20 = V.MultiplyAdd(V.Load(tails + 32), x0, d20);
                        d21 = V.MultiplyAdd(V.Load(tails + 32), x1, d21);
                        d30 = V.MultiplyAdd(V.Load(tails + 48), x0, d30);
                        d31 = V.MultiplyAdd(V.Load(tails + 48), x1, d31);
                    }
                    Store(V.Sum(d00), V.Sum(d10), V.Sum(d20), V.Sum(d30), row, end, i);
                    if (i + 1 < sides.ShortCount)
                        Store(V.Sum(d01), V.Sum(d11), V.Sum(d21), V.Sum(d31), row, end, i + 1);
                }
            }
        }

        private void Store(float s0, float s1, float s2, float s3, int row, int end, int lane)
        {
            if (p.Bias != null)
            {
                s0 += p.Bias[biasOnLong ? row : lane];
                s1 += p.Bias[biasOnLong ? Math.Min(row + 1, end - 1) : lane];
                s2 += p.Bias[biasOnLong ? Math.Min(row + 2, end - 1) : lane];
                s3 += p.Bias[biasOnLong ? Math.Min(row + 3, end - 1) : lane];
            }
            float* c = p.C + row * sides.CLong + lane * sides.CShort;
            c[0] = s0;
            if (row + 1 < end)
                c[sides.CLong] = s1;
            if (row + 2 < end)
                c[2 * sides.CLong] = s2;
            if (row + 3 < end)
                c[3 * sides.CLong] = s3;
        }
    }

    /// <summary>
    /// The long side has its lanes contiguous: for every k, a few vectors of them times each of at most four numbers of the short side.
    /// </summary>
    private readonly struct OutersBody<V>(GemmProduct p, Sides sides, bool biasOnLong) : IParallelBody where V : struct, ISimd<V>
    {
        /// <summary>Lanes of an item.</summary>
        public static int Width => 3 * V.Count;

        public void Run(int index, int worker)
        {
            int lane = index * Width, end = Math.Min(sides.LongCount, lane + Width);
            if (end - lane == Width)
                Vectors<Three>(lane);
            else if (end - lane >= 2 * V.Count)
                Vectors<Two>(lane);
            else if (end - lane >= V.Count)
                Vectors<One>(lane);
            int done = (end - lane) / V.Count * V.Count;
            if (lane + done < end)
            {
                // The border: the last whole vector again, shifted to end with the last lane; what both compute is the same.
                Vectors<One>(end - V.Count);
            }
        }

        private void Vectors<TVectors>(int lane) where TVectors : struct, IConstant
        {
            if (sides.ShortCount == 1)
                Tile<TVectors, One>(lane);
            else if (sides.ShortCount == 2)
                Tile<TVectors, Two>(lane);
            else
                Tile<TVectors, Four>(lane);
        }

        [SkipLocalsInit]
        private void Tile<TVectors, TRows>(int lane) where TVectors : struct, IConstant where TRows : struct, IConstant
        {
            V c00 = default, c01 = default, c02 = default, c10 = default, c11 = default, c12 = default;
            V c20 = default, c21 = default, c22 = default, c30 = default, c31 = default, c32 = default;
            float* x = sides.Long + lane;
            float* s0 = sides.Short, s1 = s0 + (TRows.Value > 1 ? sides.ShortLane : 0);
            float* s2 = s0 + (TRows.Value > 2 ? 2 * sides.ShortLane : 0), s3 = sides.ShortCount > 3 ? s0 + 3 * sides.ShortLane : s2;
            nint i = 0;
            for (int k = p.K; k > 0; k--)
            {
                V x0 = V.Load(x), x1 = TVectors.Value > 1 ? V.Load(x + V.Count) : default, x2 = TVectors.Value > 2 ? V.Load(x + 2 * V.Count) : default;
                V a = V.Create(s0[i]);
                c00 = V.MultiplyAdd(a, x0, c00);
                if (TVectors.Value > 1)
                    c01 = V.MultiplyAdd(a, x1, c01);
                if (TVectors.Value > 2)
                    c02 = V.MultiplyAdd(a, x2, c02);
                if (TRows.Value > 1)
                {
                    a = V.Create(s1[i]);
                    c10 = V.MultiplyAdd(a, x0, c10);
                    if (TVectors.Value > 1)
                        c11 = V.MultiplyAdd(a, x1, c11);
                    if (TVectors.Value > 2)
                        c12 = V.MultiplyAdd(a, x2, c12);
                }
                if (TRows.Value > 2)
                {
                    a = V.Create(s2[i]);
                    c20 = V.MultiplyAdd(a, x0, c20);
                    if (TVectors.Value > 1)
                        c21 = V.MultiplyAdd(a, x1, c21);
                    if (TVectors.Value > 2)
                        c22 = V.MultiplyAdd(a, x2, c22);
                    a = V.Create(s3[i]);
                    c30 = V.MultiplyAdd(a, x0, c30);
                    if (TVectors.Value > 1)
                        c31 = V.MultiplyAdd(a, x1, c31);
                    if (TVectors.Value > 2)
                        c32 = V.MultiplyAdd(a, x2, c32);
                }
                x += sides.LongStep;
                i += sides.ShortK;
            }
            Store<TVectors>(c00, c01, c02, lane, 0);
            if (sides.ShortCount > 1)
                Store<TVectors>(c10, c11, c12, lane, 1);
            if (sides.ShortCount > 2)
                Store<TVectors>(c20, c21, c22, lane, 2);
            if (sides.ShortCount > 3)
                Store<TVectors>(c30, c31, c32, lane, 3);
        }

        private void Store<TVectors>(V x0, V x1, V x2, int lane, int row) where TVectors : struct, IConstant
        {
            Store(x0, lane, row);
            if (TVectors.Value > 1)
                Store(x1, lane + V.Count, row);
            if (TVectors.Value > 2)
                Store(x2, lane + 2 * V.Count, row);
        }

        private void Store(V x, int lane, int row)
        {
            if (p.Bias != null)
                x += biasOnLong ? V.Load(p.Bias + lane) : V.Create(p.Bias[row]);
            float* c = p.C + lane * sides.CLong + row * sides.CShort;
            if (sides.CLong == 1)
            {
                V.Store(x, c);
                return;
            }
            float* values = stackalloc float[16];
            V.Store(x, values);
            for (int j = 0; j < V.Count; j++)
                c[j * sides.CLong] = values[j];
        }
    }
}
