namespace RawDiffusion.Verification.Rows;

internal static class ElementwiseRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
