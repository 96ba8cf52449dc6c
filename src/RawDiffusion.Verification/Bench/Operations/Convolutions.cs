using RawDiffusion.Backends;

namespace RawDiffusion.Verification.Bench.Operations;

internal static class Convolutions
{
    private const string Form = "BATCHxHEIGHTxWIDTHxCHANNELS[toCHANNELS]kKERNEL[sSTRIDE]";

    private static readonly string[] s_shapes =
    [
        "128x28x28x32k3", "128x14x14x64k3", "128x7x7x64k3", "128x28x28x1to32k3",
        "128x32x32x128k3", "128x16x16x256k3", "128x8x8x256k3", "128x4x4x512k3", "128x32x32x128k3s2", "128x16x16x256k1",
    ];

    private static readonly string[] s_small = ["2x16x16x64k3"];

    // Behind a shape of the forward pass.
    private const string Silu = "+silu";

    public static IEnumerable<BenchOperation> All()
    {
        yield return new BenchOperation
        {
            Name = "conv2d",
            What = "convolution with bias, and SiLU where the shape says so; same padding",
            Form = $"{Form}[{Silu}]",
            Shapes = [.. s_shapes, s_shapes[0] + Silu],
            SmallShapes = [.. s_small, s_small[0] + Silu],
            IsProduct = true,
            Create = text => Create(text, (g, counts) => Forward(g, counts, text.Optional(Silu))),
        };
        yield return Operation("conv2dGradInput", "its gradient for the images", (g, counts) => new BenchCase
        {
            Tensors = [BenchTensor.Input("gy", counts.Y), BenchTensor.Input("w", counts.W), BenchTensor.Output("gx", counts.X, counts.W / g.InChannels)],
            Run = (device, s) => device.Conv2dGradInput(g, s[0], s[1], s[2]),
        });
        yield return Operation("conv2dGradWeight", "its gradient for the weights", (g, counts) => new BenchCase
        {
            Tensors =
            [
                BenchTensor.Input("x", counts.X), BenchTensor.Input("gy", counts.Y),
                BenchTensor.Output("gw", counts.W, counts.Y / g.OutChannels).InFloat32(),
            ],
            Run = (device, s) => device.Conv2dGradWeight(g, s[0], s[1], s[2]),
        });
    }

    private static BenchCase Forward(Conv2dGeometry g, (long X, long W, long Y) counts, bool silu) => new()
    {
        Tensors =
        [
            BenchTensor.Input("x", counts.X), BenchTensor.Input("w", counts.W), BenchTensor.Input("bias", g.OutChannels).InFloat32(),
            BenchTensor.Output("y", counts.Y, counts.W / g.OutChannels),
        ],
        Run = (device, s) => device.Conv2d(g, s[0], s[1], new ConvEpilogue(s[2], Silu: silu), s[3]),
    };

    private static BenchOperation Operation(string name, string what, Func<Conv2dGeometry, (long X, long W, long Y), BenchCase> create) => new()
    {
        Name = name,
        What = $"{what}; same padding",
        Form = Form,
        Shapes = s_shapes,
        SmallShapes = s_small,
        IsProduct = true,
        Create = text => Create(text, create),
    };

    private static BenchCase Create(ShapeText text, Func<Conv2dGeometry, (long X, long W, long Y), BenchCase> create)
    {
        var g = Geometry(text);
        long pixels = (long)g.Batch * g.Height * g.Width;
        long w = (long)g.OutChannels * g.KernelHeight * g.KernelWidth * g.InChannels;
        long y = (long)g.Batch * g.OutHeight * g.OutWidth * g.OutChannels;
        return create(g, (pixels * g.InChannels, w, y)) with { Flops = g.Flops };
    }

    private static Conv2dGeometry Geometry(ShapeText text)
    {
        int batch = text.Number(), height = text.By(), width = text.By(), channels = text.By();
        int outputs = text.After("to", channels), kernel = text.After("k"), stride = text.After("s", 1), padding = kernel / 2;
        if (kernel > height + 2 * padding || kernel > width + 2 * padding)
            throw new FormatException("the kernel is larger than the padded image");
        return new Conv2dGeometry(batch, height, width, channels, outputs, kernel, kernel, stride, stride, padding, padding, padding, padding, 1);
    }
}
