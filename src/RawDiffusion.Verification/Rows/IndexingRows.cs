namespace RawDiffusion.Verification.Rows;

internal static class IndexingRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
