namespace RawDiffusion.Backends.Cpu;

/// <summary>log(sum(exp(x))) of lines [start, end) of Outer x Inner, relative to the largest of the line.</summary>
internal readonly unsafe struct LogSumExpBody<V>(ReduceGeometry g, float* x, float* y) : IRangeBody
    where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker)
    {
        for (int i = start; i < end;)
        {
            var (outer, inner) = Math.DivRem(i, g.Inner);
            float* line = x + (long)outer * g.Reduce * g.Inner + inner;
            if (g.Inner == 1)
            {
                y[i] = SoftmaxRow<V>.LogSumExp(line, g.Reduce, 0);
                i++;
            }
            else if (g.Inner - inner >= V.Count && end - i >= V.Count)
            {
                V.Store(Columns(line), y + i);
                i += V.Count;
            }
            else
            {
                y[i] = Column(line);
                i++;
            }
        }
    }

    private V Columns(float* line)
    {
        V max = V.Load(line);
        for (int r = 1; r < g.Reduce; r++)
            max = V.Max(max, V.Load(line + (long)r * g.Inner));
        V sum = V.Create(0);
        for (int r = 0; r < g.Reduce; r++)
            sum += VectorMath.ExpFlush(V.Load(line + (long)r * g.Inner) - max);
        V isFinite = V.LessThan(V.Abs(max), V.Create(float.PositiveInfinity));
        return V.Select(isFinite, max + VectorMath.Log(sum), max);
    }

    private float Column(float* line)
    {
        float max = line[0];
        for (int r = 1; r < g.Reduce; r++)
            max = MathF.Max(max, line[(long)r * g.Inner]);
        if (!float.IsFinite(max))
            return max;
        double sum = 0;
        for (int r = 0; r < g.Reduce; r++)
            sum += MathF.Exp(line[(long)r * g.Inner] - max);
        return max + MathF.Log((float)sum);
    }
}
