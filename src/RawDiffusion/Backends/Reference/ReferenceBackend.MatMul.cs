namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void MatMul(in MatMulGeometry g, Storage a, Storage b, Storage? bias, Storage c)
    {
        Span<double> x = D(a), y = D(b), z = D(c), offset = bias is null ? default : D(bias);
        for (int batch = 0; batch < g.Batch; batch++)
        {
            int startA = batch * g.BatchStrideA, startB = batch * g.BatchStrideB, startC = batch * g.M * g.N;
            for (int m = 0; m < g.M; m++)
            {
                for (int n = 0; n < g.N; n++)
                {
                    double sum = 0;
                    for (int k = 0; k < g.K; k++)
                    {
                        int indexA = g.TransposeA ? k * g.M + m : m * g.K + k;
                        int indexB = g.TransposeB ? n * g.K + k : k * g.N + n;
                        sum += x[startA + indexA] * y[startB + indexB];
                    }
                    z[startC + m * g.N + n] = bias is null ? sum : sum + offset[n];
                }
            }
        }
    }
}
