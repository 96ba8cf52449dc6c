using RawDiffusion.Backends;

namespace RawDiffusion.Verification.Bench.Operations;

internal static class Normalizations
{
    private const string GroupForm = "BATCHxPIXELSxCHANNELSgGROUPS", RowForm = "ROWSxCOLUMNS";

    private static readonly string[] s_groupShapes =
        ["128x784x32g32", "128x196x64g32", "128x49x64g32", "128x1024x128g32", "128x256x256g32", "128x64x256g32", "128x16x512g32"];

    private static readonly string[] s_groupSmall = ["2x64x64g32"], s_rowSmall = ["32x256"];

    public static IEnumerable<BenchOperation> All()
    {
        foreach (bool silu in (bool[])[false, true])
        {
            string name = silu ? "groupNormSilu" : "groupNorm", what = silu ? "group norm followed by SiLU" : "group norm";
            yield return Group(name, what, g => GroupNorm(g, silu));
            yield return Group(name + "Grad", $"gradients of {what}", g => GroupNormGrad(g, silu));
        }
        yield return Rows("layerNorm", "layer norm of rows", ["16384x256", "65536x512"], (rows, columns) => LayerNorm(new LayerNormGeometry(rows, columns, 1e-5)));
        yield return Rows("layerNormGrad", "its gradients", ["16384x256", "65536x512"], (rows, columns) => LayerNormGrad(new LayerNormGeometry(rows, columns, 1e-5)));
        yield return Rows("softmax", "softmax of rows", ["16384x256", "32768x1024"], (rows, columns) => new BenchCase
        {
            Tensors = [BenchTensor.Input("x", (long)rows * columns), BenchTensor.Output("y", (long)rows * columns, columns)],
            Run = (device, s) => device.Softmax(rows, columns, false, s[0], s[1]),
        });
        yield return Rows("softmaxGrad", "its gradient", ["16384x256"], (rows, columns) => new BenchCase
        {
            Tensors =
            [
                BenchTensor.Input("x", (long)rows * columns) with { Passes = 0 }, BenchTensor.Output("y", (long)rows * columns) with { IsResult = false },
                BenchTensor.Input("gy", (long)rows * columns), BenchTensor.Output("gx", (long)rows * columns, columns),
            ],
            Prepare = (device, s) => device.Softmax(rows, columns, false, s[0], s[1]),
            Run = (device, s) => device.SoftmaxGrad(rows, columns, false, s[1], s[2], s[3]),
        });
    }

    private static BenchOperation Group(string name, string what, Func<GroupNormGeometry, BenchCase> create) => new()
    {
        Name = name,
        What = what,
        Form = GroupForm,
        Shapes = s_groupShapes,
        SmallShapes = s_groupSmall,
        Create = text =>
        {
            int batch = text.Number(), pixels = text.By(), channels = text.By(), groups = text.After("g");
            return channels % groups == 0
                ? create(new GroupNormGeometry(batch, pixels, channels, groups, 1e-5))
                : throw new FormatException($"{channels} channels cannot be parted into {groups} groups");
        },
    };

    private static BenchOperation Rows(string name, string what, string[] shapes, Func<int, int, BenchCase> create) => new()
    {
        Name = name,
        What = what,
        Form = RowForm,
        Shapes = shapes,
        SmallShapes = s_rowSmall,
        Create = text => create(text.Number(), text.By()),
    };

    private static BenchCase GroupNorm(GroupNormGeometry g, bool silu)
    {
        long count = (long)g.Batch * g.Spatial * g.Channels, statistics = (long)g.Batch * g.Groups, terms = (long)g.Spatial * (g.Channels / g.Groups);
        return new BenchCase
        {
            Tensors =
            [
                BenchTensor.Input("x", count), BenchTensor.Input("gamma", g.Channels).InFloat32(), BenchTensor.Input("beta", g.Channels).InFloat32(),
                BenchTensor.Output("y", count, terms), BenchTensor.Output("mean", statistics, terms).InFloat32(), BenchTensor.Output("rstd", statistics, terms).InFloat32(),
            ],
            Run = (device, s) => device.GroupNorm(g, silu, s[0], s[1], s[2], s[3], s[4], s[5]),
        };
    }

    private static BenchCase GroupNormGrad(GroupNormGeometry g, bool silu)
    {
        long count = (long)g.Batch * g.Spatial * g.Channels, statistics = (long)g.Batch * g.Groups, terms = (long)g.Spatial * (g.Channels / g.Groups);
        long samples = (long)g.Batch * g.Spatial;
        return new BenchCase
        {
            Tensors =
            [
                BenchTensor.Input("x", count), BenchTensor.Input("gamma", g.Channels).InFloat32(), BenchTensor.Input("beta", g.Channels).InFloat32(),
                BenchTensor.Output("y", count) with { IsResult = false, Passes = 0 },
                BenchTensor.Output("mean", statistics).InFloat32() with { IsResult = false }, BenchTensor.Output("rstd", statistics).InFloat32() with { IsResult = false },
                BenchTensor.Input("gy", count), BenchTensor.Output("gx", count, terms),
                BenchTensor.Output("gGamma", g.Channels, samples).InFloat32(), BenchTensor.Output("gBeta", g.Channels, samples).InFloat32(),
            ],
            Prepare = (device, s) => device.GroupNorm(g, silu, s[0], s[1], s[2], s[3], s[4], s[5]),
            Run = (device, s) => device.GroupNormGrad(g, silu, s[0], s[1], s[2], s[4], s[5], s[6], s[7], s[8], s[9]),
        };
    }

    private static BenchCase LayerNorm(LayerNormGeometry g)
    {
        long count = (long)g.Rows * g.Columns;
        return new BenchCase
        {
            Tensors =
            [
                BenchTensor.Input("x", count), BenchTensor.Input("gamma", g.Columns).InFloat32(), BenchTensor.Input("beta", g.Columns).InFloat32(),
                BenchTensor.Output("y", count, g.Columns), BenchTensor.Output("mean", g.Rows, g.Columns).InFloat32(), BenchTensor.Output("rstd", g.Rows, g.Columns).InFloat32(),
            ],
            Run = (device, s) => device.LayerNorm(g, s[0], s[1], s[2], s[3], s[4], s[5]),
        };
    }

    private static BenchCase LayerNormGrad(LayerNormGeometry g)
    {
        long count = (long)g.Rows * g.Columns;
        return new BenchCase
        {
            Tensors =
            [
                BenchTensor.Input("x", count), BenchTensor.Input("gamma", g.Columns).InFloat32(), BenchTensor.Input("beta", g.Columns).InFloat32() with { Passes = 0 },
                BenchTensor.Output("y", count) with { IsResult = false, Passes = 0 },
                BenchTensor.Output("mean", g.Rows).InFloat32() with { IsResult = false }, BenchTensor.Output("rstd", g.Rows).InFloat32() with { IsResult = false },
                BenchTensor.Input("gy", count), BenchTensor.Output("gx", count, g.Columns),
                BenchTensor.Output("gGamma", g.Columns, g.Rows).InFloat32(), BenchTensor.Output("gBeta", g.Columns, g.Rows).InFloat32(),
            ],
            Prepare = (device, s) => device.LayerNorm(g, s[0], s[1], s[2], s[3], s[4], s[5]),
            Run = (device, s) => device.LayerNormGrad(g, s[0], s[1], s[4], s[5], s[6], s[7], s[8], s[9]),
        };
    }
}
