namespace RawDiffusion.Backends.Cpu;

/// <summary>Layer normalisation of rows that stay in the first-level cache: mean, then squared deviations, then the result.</summary>
internal readonly unsafe struct LayerNormForward<V>(
    LayerNormGeometry g, float* x, float* gamma, float* beta, float* y, float* mean, float* rstd) : IRangeBody
    where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker)
    {
        for (int row = start; row < end; row++)
            Normalize(x + (nint)row * g.Columns, y + (nint)row * g.Columns, mean + row, rstd + row);
    }

    private void Normalize(float* x, float* y, float* mean, float* rstd)
    {
        int columns = g.Columns, whole = columns / (4 * V.Count) * (4 * V.Count);
        V s0 = default, s1 = default, s2 = default, s3 = default;
        for (int i = 0; i < whole; i += 4 * V.Count)
        {
            s0 += V.Load(x + i);
            s1 += V.Load(x + i + V.Count);
            s2 += V.Load(x + i + 2 * V.Count);
            s3 += V.Load(x + i + 3 * V.Count);
        }
        double sum = V.Sum(s0 + s1 + (s2 + s3));
        for (int i = whole; i < columns; i++)
            sum += x[i];
        float m = (float)(sum / columns);
        V vm = V.Create(m);
        s0 = s1 = s2 = s3 = default;
        for (int i = 0; i < whole; i += 4 * V.Count)
        {
            V d0 = V.Load(x + i) - vm, d1 = V.Load(x + i + V.Count) - vm;
            V d2 = V.Load(x + i + 2 * V.Count) - vm, d3 = V.Load(x + i + 3 * V.Count) - vm;
            s0 = V.MultiplyAdd(d0, d0, s0);
            s1 = V.MultiplyAdd(d1, d1, s1);
            s2 = V.MultiplyAdd(d2, d2, s2);
            s3 = V.MultiplyAdd(d3, d3, s3);
        }
        double squares = V.Sum(s0 + s1 + (s2 + s3));
        for (int i = whole; i < columns; i++)
            squares += (double)(x[i] - m) * (x[i] - m);
        float r = (float)(1 / Math.Sqrt(squares / columns + g.Epsilon));
        *mean = m;
        *rstd = r;
        V vr = V.Create(r);
        int c = 0;
        for (; c <= columns - V.Count; c += V.Count)
            V.Store(V.MultiplyAdd((V.Load(x + c) - vm) * vr, V.Load(gamma + c), V.Load(beta + c)), y + c);
        for (; c < columns; c++)
            y[c] = (x[c] - m) * r * gamma[c] + beta[c];
    }
}

/// <summary>
/// Gradients of layer normalisation. A piece is a fixed number of rows with its own sums for gamma and beta, in
/// <paramref name="affine"/>[piece, 2, Columns]; the caller joins them in order.
/// </summary>
internal readonly unsafe struct LayerNormBackward<V>(
    LayerNormGeometry g, int pieceRows, float* x, float* gamma, float* mean, float* rstd, float* gy, float* gx, float* affine)
    : IParallelBody where V : struct, ISimd<V>
{
    public void Run(int index, int worker)
    {
        float* gGamma = affine + 2 * (nint)index * g.Columns;
        float* gBeta = gGamma + g.Columns;
        new Span<float>(gGamma, 2 * g.Columns).Clear();
        int end = Math.Min(g.Rows, (index + 1) * pieceRows);
        for (int row = index * pieceRows; row < end; row++)
        {
            nint start = (nint)row * g.Columns;
            Differentiate(x + start, gy + start, gx + start, mean[row], rstd[row], gGamma, gBeta);
        }
    }

    private void Differentiate(float* x, float* gy, float* gx, float mean, float rstd, float* gGamma, float* gBeta)
    {
        int columns = g.Columns, c = 0;
        V vm = V.Create(mean), vr = V.Create(rstd);
        V h0 = default, h1 = default, p0 = default, p1 = default;
        for (; c <= columns - 2 * V.Count; c += 2 * V.Count)
        {
            Step(x + c, gy + c, gamma + c, gGamma + c, gBeta + c, vm, vr, ref h0, ref p0);
            Step(x + c + V.Count, gy + c + V.Count, gamma + c + V.Count, gGamma + c + V.Count, gBeta + c + V.Count, vm, vr, ref h1, ref p1);
        }
        for (; c <= columns - V.Count; c += V.Count)
            Step(x + c, gy + c, gamma + c, gGamma + c, gBeta + c, vm, vr, ref h0, ref p0);
        double sumH = V.Sum(h0 + h1), sumHXhat = V.Sum(p0 + p1);
        for (; c < columns; c++)
        {
            float xhat = (x[c] - mean) * rstd, h = gy[c] * gamma[c];
            gGamma[c] += gy[c] * xhat;
            gBeta[c] += gy[c];
            sumH += h;
            sumHXhat += h * xhat;
        }
        float b = (float)(-rstd * sumHXhat / columns), d = (float)(-rstd * sumH / columns);
        V vb = V.Create(b), vd = V.Create(d);
        for (c = 0; c <= columns - V.Count; c += V.Count)
        {
            V xhat = (V.Load(x + c) - vm) * vr;
            V.Store(V.MultiplyAdd(V.Load(gy + c) * V.Load(gamma + c), vr, V.MultiplyAdd(xhat, vb, vd)), gx + c);
        }
        for (; c < columns; c++)
            gx[c] = gy[c] * gamma[c] * rstd + (x[c] - mean) * rstd * b + d;
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveInlining)]
    private static void Step(float* x, float* gy, float* gamma, float* gGamma, float* gBeta, V mean, V rstd, ref V sumH, ref V sumHXhat)
    {
        V xhat = (V.Load(x) - mean) * rstd;
        V g = V.Load(gy);
        V h = g * V.Load(gamma);
        V.Store(V.MultiplyAdd(g, xhat, V.Load(gGamma)), gGamma);
        V.Store(V.Load(gBeta) + g, gBeta);
        sumH += h;
        sumHXhat = V.MultiplyAdd(h, xhat, sumHXhat);
    }
}
