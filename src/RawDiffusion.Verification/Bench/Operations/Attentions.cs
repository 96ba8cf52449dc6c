using RawDiffusion.Backends;

namespace RawDiffusion.Verification.Bench.Operations;

internal static class Attentions
{
    private const string Form = "BATCHxHEADSxQUERIES[byKEYS]xHEADDIM";

    private static readonly string[] s_shapes = ["128x1x49x64", "128x4x256x64", "128x1x256x128", "128x4x64x64", "16x8x1024x64", "8x8x1024by77x64"];

    private static readonly string[] s_small = ["1x2x64x64"];

    public static IEnumerable<BenchOperation> All()
    {
        yield return Operation("attention", "softmax(q k^T / sqrt(d)) v", (g, counts) => new BenchCase
        {
            Flops = 2 * counts.Product,
            Tensors =
            [
                BenchTensor.Input("q", counts.Queries), BenchTensor.Input("k", counts.Keys), BenchTensor.Input("v", counts.Keys),
                BenchTensor.Output("y", counts.Queries, g.KeyLength), BenchTensor.Output("logSumExp", counts.Rows, g.KeyLength).InFloat32(),
            ],
            Run = (device, s) => device.Attention(g, s[0], s[1], s[2], s[3], s[4]),
        });
        // The scores are computed again, then one product for each of gv, the gradient of the weights, gq and gk.
        yield return Operation("attentionGrad", "gradients of attention", (g, counts) => new BenchCase
        {
            Flops = 5 * counts.Product,
            Tensors =
            [
                BenchTensor.Input("q", counts.Queries), BenchTensor.Input("k", counts.Keys), BenchTensor.Input("v", counts.Keys),
                BenchTensor.Output("y", counts.Queries) with { IsResult = false }, BenchTensor.Output("logSumExp", counts.Rows).InFloat32() with { IsResult = false },
                BenchTensor.Input("gy", counts.Queries), BenchTensor.Output("gq", counts.Queries, g.KeyLength),
                BenchTensor.Output("gk", counts.Keys, g.QueryLength), BenchTensor.Output("gv", counts.Keys, g.QueryLength),
            ],
            Prepare = (device, s) => device.Attention(g, s[0], s[1], s[2], s[3], s[4]),
            Run = (device, s) => device.AttentionGrad(g, s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8]),
        });
    }

    private static BenchOperation Operation(
        string name, string what, Func<AttentionGeometry, (long Queries, long Keys, long Rows, double Product), BenchCase> create) => new()
        {
            Name = name,
            What = what,
            Form = Form,
            Shapes = s_shapes,
            SmallShapes = s_small,
            IsProduct = true,
            Create = text =>
            {
                int batch = text.Number(), heads = text.By(), queries = text.By(), keys = text.After("by", queries), dim = text.By();
                long rows = (long)batch * heads * queries;
                return create(
                    new AttentionGeometry(batch, heads, queries, keys, dim, 1 / Math.Sqrt(dim)),
                    (rows * dim, (long)batch * heads * keys * dim, rows, 2.0 * rows * keys * dim));
            },
        };
}
