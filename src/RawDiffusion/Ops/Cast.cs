namespace RawDiffusion.Ops;

/// <summary>The same values in another floating type.</summary>
internal sealed class CastFunction(DType type) : Function
{
    public override string Name => "to";

    protected override ulong ReadsInputs => 0;

    protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
    {
        var x = inputs[0];
        var y = new Tensor(MemoryScope.Allocate(x.Device, type, x.Count), x.Shape);
        x.Device.Cast(x.Storage, y.Storage);
        return y;
    }

    protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) => gradInputs[0] = gradOutput.To(Inputs[0].DType);
}
