using RawDiffusion.Backends;

namespace RawDiffusion.Verification.Bench.Operations;

internal static class Products
{
    public static IEnumerable<BenchOperation> All()
    {
        yield return new BenchOperation
        {
            Name = "matmul",
            What = "C[M, N] = op(A) op(B); nn, nt, tn, tt say which of the two lie transposed",
            Form = "MxNxK[nn|nt|tn|tt]",
            Shapes =
            [
                "512x512x512", "1024x1024x1024", "2048x2048x2048", "4096x4096x4096",
                // Layers of the networks: y = x W^T, and the gradient of W, which sums over the batch.
                "512x128x128nt", "100352x64x64nt", "128x512x4096tn",
            ],
            SmallShapes = ["256x256x256"],
            Create = MatMul,
            IsProduct = true,
        };
    }

    private static BenchCase MatMul(ShapeText text)
    {
        int m = text.Number(), n = text.By(), k = text.By();
        string layout = text.Optional("nn") ? "nn" : text.Optional("nt") ? "nt" : text.Optional("tn") ? "tn" : text.Optional("tt") ? "tt" : "nn";
        var g = new MatMulGeometry(1, m, n, k, layout[0] == 't', layout[1] == 't', 0, 0);
        return new BenchCase
        {
            Tensors = [BenchTensor.Input("a", (long)m * k), BenchTensor.Input("b", (long)n * k), BenchTensor.Output("c", (long)m * n, k)],
            Flops = 2.0 * m * n * k,
            Product = g,
            Run = (device, s) => device.MatMul(g, s[0], s[1], null, s[2]),
        };
    }
}
