namespace RawDiffusion.Tests;

/// <summary>Operations and their gradients against PyTorch, on every device: the Reference device is not its own judge.</summary>
public class GoldenOperationTests
{
    [Theory]
    [MemberData(nameof(GoldenCase.Cases), "conv2d", MemberType = typeof(GoldenCase))]
    public void Conv2d(string device, int index)
    {
        var golden = GoldenCase.Read("conv2d", index);
        int stride = golden.Int("stride"), padding = golden.Int("padding"), groups = golden.Int("groups");
        golden.Compare(device, ["x", "w", "b"], terms: golden.ShapeOf("gy").Product(0, 3), t =>
            F.Conv2d(t["x"], t["w"], t.GetValueOrDefault("b"), stride, padding, groups));
    }

    [Theory]
    [MemberData(nameof(GoldenCase.Cases), "group_norm", MemberType = typeof(GoldenCase))]
    public void GroupNorm(string device, int index)
    {
        var golden = GoldenCase.Read("group_norm", index);
        int groups = golden.Int("groups");
        golden.Compare(device, ["x", "weight", "bias"], terms: golden.ShapeOf("gy").Product(0, 3), t => golden.Bool("silu")
            ? F.GroupNormSilu(t["x"], groups, t["weight"], t["bias"])
            : F.GroupNorm(t["x"], groups, t["weight"], t["bias"]));
    }

    [Theory]
    [MemberData(nameof(GoldenCase.Cases), "layer_norm", MemberType = typeof(GoldenCase))]
    public void LayerNorm(string device, int index) => GoldenCase.Read("layer_norm", index).Compare(
        device, ["x", "weight", "bias"], terms: 16, t => F.LayerNorm(t["x"], t["weight"], t["bias"]));

    [Theory]
    [MemberData(nameof(GoldenCase.Cases), "attention", MemberType = typeof(GoldenCase))]
    public void Attention(string device, int index) => GoldenCase.Read("attention", index).Compare(
        device, ["q", "k", "v"], terms: 7, t => F.ScaledDotProductAttention(t["q"], t["k"], t["v"]));

    [Theory]
    [MemberData(nameof(GoldenCase.Cases), "linear", MemberType = typeof(GoldenCase))]
    public void Linear(string device, int index) => GoldenCase.Read("linear", index).Compare(
        device, ["x", "w", "b"], terms: 6, t => F.Linear(t["x"], t["w"], t.GetValueOrDefault("b")));
}
