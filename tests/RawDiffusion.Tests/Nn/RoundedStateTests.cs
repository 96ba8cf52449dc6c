using RawDiffusion.IO;
using RawDiffusion.Nn;
using RawDiffusion.Optim;
using RawDiffusion.Tests.Kernels;

namespace RawDiffusion.Tests.Nn;

/// <summary>Values in bfloat16 on the device of the parameters are numbers, not bits to be copied.</summary>
public class RoundedStateTests
{
    [SkippableFact]
    public void A_rounded_state_is_loaded_as_numbers()
    {
        TestNvrtc.Require();
        Linear from = new(3, 2, new Generator(1), device: Emulated.Plain.Device), to = new(3, 2, new Generator(2), device: Emulated.Plain.Device);
        var rounded = from.StateDict().ToDictionary(named => named.Key, named => named.Value.To(DType.BFloat16));
        to.LoadStateDict(rounded);
        Assert.All(to.StateDict(), named => Assert.Equal(rounded[named.Key].ToArray(), named.Value.ToArray()));

        var optimizer = new AdamW(to);
        var state = optimizer.StateDict().ToDictionary(
            named => named.Key, named => named.Value.DType == DType.Int32 ? named.Value : Tensor.Full(named.Value.Shape, 1.5, Emulated.Plain.Device).To(DType.BFloat16));
        optimizer.LoadStateDict(state);
        Assert.All(optimizer.StateDict().Where(named => named.Key != "step"), named => Assert.All(named.Value.ToArray(), value => Assert.Equal(1.5f, value)));
    }

    [SkippableFact]
    public void A_rounded_tensor_is_saved_in_two_bytes_an_element()
    {
        TestNvrtc.Require();
        var x = Tensor.From([1f, -2.5f, 3.140625f, float.PositiveInfinity, 0], [5], Emulated.Plain.Device);
        using var folder = new TemporaryFolder();
        string path = folder["rounded.safetensors"];
        Safetensors.Save(path, [("rounded", x.To(DType.BFloat16)), ("whole", x)]);
        using var file = Safetensors.Load(path);
        Assert.Equal(["whole F32", "rounded BF16"], file.Entries.OrderBy(entry => entry.Offset).Select(entry => $"{entry.Name} {entry.DType}"));
        Assert.Equal(x.ToArray(), file.Read("rounded", Device.Cpu).ToArray());
        Assert.Equal(x.ToArray(), file.Read("whole", Device.Cpu).ToArray());
    }
}
