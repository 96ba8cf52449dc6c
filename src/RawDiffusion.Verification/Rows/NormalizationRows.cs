namespace RawDiffusion.Verification.Rows;

internal static class NormalizationRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
