namespace RawDiffusion.Verification.Rows;

internal static class ConvolutionRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
