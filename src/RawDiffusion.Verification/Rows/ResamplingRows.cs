namespace RawDiffusion.Verification.Rows;

internal static class ResamplingRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
